#!/usr/bin/env bash
# The wheel and the sdist, installed where nothing else is: torch and NumPy alone, then the extras `train` and `fast`.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# Built from what git has, as a release would be.
git archive HEAD | tar -x -C "$work" --one-top-level=source
.venv/bin/python - "$work" <<'PY'
import os, sys
from setuptools import build_meta
work = sys.argv[1]
os.chdir(f"{work}/source")
build_meta.build_sdist(work)
build_meta.build_wheel(work)
PY
env="$work/env/bin"
"$(readlink -f .venv/bin/python)" -m venv "$work/env"
runs() { (cd "$work" && "$env/python" "$OLDPWD/tests/packaging/installed.py" "$OLDPWD/README.md" "$1"); }

# The lock's versions as constraints: PyTorch's newest CUDA build is not what is tested here.
"$env/pip" install --quiet --constraint requirements.lock "$work"/psl-*.whl
runs base
"$env/pip" install --quiet --no-deps --force-reinstall "$work"/psl-*.tar.gz
runs base
for extra in train fast; do
  "$env/pip" install --quiet --constraint requirements.lock "$(echo "$work"/psl-*.whl)[$extra]"
  runs "$extra"
done

# The description of the checkout as an RO-Crate, by a validator of others, apart: it wants an older Rich than `psl` has.
"$(readlink -f .venv/bin/python)" -m venv "$work/crate"
"$work/crate/bin/pip" install --quiet 'roc-validator>=0.13' 'rocrate>=0.16'
"$work/crate/bin/python" tests/packaging/validated_crate.py "$work/source"
