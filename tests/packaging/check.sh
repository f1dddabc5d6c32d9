#!/usr/bin/env bash
# The wheel and the sdist, installed where nothing else is: torch and NumPy alone, then `fast`.
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
python3="$(readlink -f .venv/bin/python)"
for kind in whl tar.gz; do
  "$python3" -m venv "$work/$kind"
  # The lock's versions as constraints: PyTorch's newest CUDA build is not what is tested here.
  "$work/$kind/bin/pip" install --quiet --constraint requirements.lock "$work"/psl-*."$kind"
  if [ "$kind" = whl ]; then
    (cd "$work" && "$work/whl/bin/python" "$OLDPWD/tests/packaging/installed.py" "$OLDPWD/README.md" base)
    "$work/whl/bin/pip" install --quiet --constraint requirements.lock "$(echo "$work"/psl-*.whl)[fast]"
    (cd "$work" && "$work/whl/bin/python" "$OLDPWD/tests/packaging/installed.py" "$OLDPWD/README.md" fast)
  else
    (cd "$work" && "$work/tar.gz/bin/python" "$OLDPWD/tests/packaging/installed.py" "$OLDPWD/README.md" base)
  fi
done
