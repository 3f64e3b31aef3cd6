#!/usr/bin/env bash
# From the data folder to the shipped assets: template, PCA model, registered people, sphere model (stage 1),
# synthetic faces, network, export, provenance.
#
#   runs/build_default.sh DATA [WORK]
#
# DATA holds ict-face-model.npz and photos/{video-train,video-val,photo-train}.tar (see benchmarks/README.md for the
# layout and where to get such data). WORK (default: work) takes what is made on the way and can be deleted.
# BUDGET (samples seen, default 450000) and SYNTHETIC (faces, default 20000) set the size; THREADS the CPU threads.
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
"$python" runs/build_people.py "$work/template.npz" "$work/face_model.npz" "$work/carried.npz" "$work/people.npz"
"$python" -m likeness train scans "$work/people.npz" -o "$work/sphere.npz" --template "$work/face_model.npz" \
  --size 128 --run "$work/sphere" --resume
"$python" -m likeness.train.synthetic --model "$work/sphere.npz" --out "$work/synthetic" --count "${SYNTHETIC:-20000}"
"$python" -m likeness.train.regressor --model "$work/sphere.npz" --data "$data" --synthetic "$work/synthetic" \
  --out "$work/regressor" --budget "${BUDGET:-450000}" --threads "${THREADS:-2}" --resume
"$python" -m likeness.train.export --run "$work/regressor" --out "$work/regressor.onnx"
"$python" runs/ship.py "$work" "$data" "$assets"
