import json, traceback, time
from pathlib import Path
from signing import validate
from tests.attacks.catalogue import ATTACKS
from tests.attacks.ground import make_ground
from tests.attacks.naive import naive, pdfsig


def test_all(fielded, final, signers, tmp_path):
    g = make_ground(fielded, final, signers)
    out = {}
    for n, d in (("document", g.document), ("sealed", g.sealed)):
        r = validate(d, signers.trust)
        print("CONTROL", n, r.indication, r.sub_indication, naive(d), pdfsig(d, tmp_path), r.modifications)
    (Path("/tmp/atkwork/root.pem")).write_bytes(Path(signers.pki.root).read_bytes())
    Path("/tmp/atkwork/out").mkdir(exist_ok=True)
    for a in ATTACKS:
        try:
            d = a.build(g)
        except Exception as e:
            traceback.print_exc()
            print("!!BUILD", a.name, repr(e))
            continue
        Path(f"/tmp/atkwork/out/{a.name}.pdf").write_bytes(d)
        t = time.time()
        r = validate(d, signers.trust)
        t = time.time() - t
        n, p = naive(d), pdfsig(d, tmp_path)
        codes = [m.code for m in r.modifications if not m.permitted]
        ok = (r.indication, r.sub_indication) == (a.indication, a.sub_indication) and (
            a.code is None or a.code in codes
        )
        out[a.name] = (n, p)
        print(
            "  " if ok else "!!",
            a.name,
            "|",
            n,
            "|",
            p,
            "|",
            r.indication,
            r.sub_indication,
            codes,
            "|",
            r.explanation,
            f"{t:.2f}",
        )
    Path("/tmp/atkwork/outcomes.json").write_text(json.dumps(out))
