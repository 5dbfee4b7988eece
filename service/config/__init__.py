"""Settings: read once from the environment (`SIGNERT_…`), validated, frozen.

    settings   what the service knows of them       sections   each one's form, default and description
    loading    `load_settings`: from the environment, all together

Secrets are never values of settings: they name the file that holds one. With `SIGNERT_ENV=production` everything that
development makes up for itself must be named. docs/configuration.md is made from `sections`.
"""

from __future__ import annotations

from service.config.loading import PREFIX, load_settings
from service.config.sections import SECTIONS
from service.config.settings import PRODUCTION, S3Location, Settings

__all__ = ["PREFIX", "PRODUCTION", "SECTIONS", "S3Location", "Settings", "load_settings"]
