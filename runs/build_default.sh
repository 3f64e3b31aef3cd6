#!/usr/bin/env bash
# From the data folder to the shipped assets: template, face model, synthetic faces, network, export, provenance.
#
#   runs/build_default.sh DATA [WORK]
#
# DATA holds ict-face-model.npz and photos/{video-train,video-val,photo-train}.tar (see benchmarks/README.md for the
# layout and where to get such data). WORK (default: work) takes what is made on the way and can be deleted.
# BUDGET (samples seen, default 400000) and SYNTHETIC (faces, default 16000) set the size; THREADS the CPU threads.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?usage: runs/build_default.sh DATA [WORK]}
work=${2:-work}
python=${PYTHON:-.venv/bin/python}
assets=src/likeness/assets

make .venv/.dev
"${python%python}pip" install --quiet --disable-pip-version-check -e ".[build]"
mkdir -p "$work"
[ -e "$work/template.npz" ] || "$python" runs/build_template.py "$work/template.npz"
"$python" runs/build_model.py "$work/template.npz" "$data/ict-face-model.npz" "$data/photos/video-train.tar" "$work/face_model.npz"
"$python" -m likeness.train.synthetic --model "$work/face_model.npz" --out "$work/synthetic" --count "${SYNTHETIC:-16000}"
"$python" -m likeness.train.regressor --model "$work/face_model.npz" --data "$data" --synthetic "$work/synthetic" \
  --out "$work/regressor" --budget "${BUDGET:-400000}" --threads "${THREADS:-2}" --resume
"$python" -m likeness.train.export --run "$work/regressor" --out "$work/regressor.onnx"
"$python" runs/ship.py "$work" "$data" "$assets"
