"""All attacks, in the order of the table."""

from tests.attacks import forgery, saving, shadow, wrapping

__all__ = ["ATTACKS"]

ATTACKS = (*forgery.ATTACKS, *saving.ATTACKS, *wrapping.ATTACKS, *shadow.ATTACKS)
