#!/usr/bin/env bash
# From the shipped network to one that has seen more: labels, rendered faces, surface points, what to believe of them,
# export, provenance. What runs/build_default.sh makes from nothing in days, this goes on with in hours: no checkpoint of
# what is shipped is needed.
#
#   runs/train_on.sh DATA [WORK]
#
# DATA holds MediaPipe's models in teachers/mediapipe, teacher-mobilefacenet.onnx, portraits, photos/people-train.tar with
# people-train-labels.npz, and photos/{video,photo}-{train,val}.tar. WORK (default: work/on) takes what is made on the way and can be
# deleted. POINTS (samples), RATE (its learning rate), SKINS (people whose skins are taken), SKINNED (faces that are rendered),
# SEED and FUSED (steps of the fusion) set size and chance; THREADS the CPU threads, PROCESSES those that make faces.
# Trainings of a run that was ended go on from their checkpoints.
#
# The face finder, the face model, the skin mask and the texture's layout stay. The constants that were measured on the
# network stay too, and are to be measured anew: benchmarks/face_chance.py fit (reconstruct/chance.py) and
# benchmarks/fusion.py --calibrate (reconstruct/agreement.py).
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?usage: runs/train_on.sh DATA [WORK]}
work=${2:-work/on}
python=${PYTHON:-.venv/bin/python}
assets=src/likeness/assets
threads=${THREADS:-2}
shipped=$work/shipped.onnx

make .venv/.dev
"${python%python}pip" install --quiet --disable-pip-version-check -e ".[build,points]"
mkdir -p "$work"
# A copy: it is what all of this begins with, also when a run goes on after its results were shipped.
[ -e "$shipped" ] || cp "$assets/regressor.onnx" "$shipped"
[ -e "$work/surface_points.npz" ] || cp "$assets/surface_points.npz" "$work/surface_points.npz"
labels=()
for name in {video,photo}-{train,val} people-train; do
  labels+=("$work/labels-$name.npz")
  [ -e "$work/labels-$name.npz" ] || "$python" -m likeness train label-points --data "$data/photos/$name.tar" \
    --teacher "$data/teachers/mediapipe" --network "$shipped" --threads "$threads" -o "$work/labels-$name.npz"
done
[ -e "$work/skins.npz" ] || "$python" -m likeness train skins --data "$data"/photos/{people,photo}-train.tar -o "$work/skins.npz" \
  --network "$shipped" --people "${SKINS:-1080}"
"$python" -m likeness train synthetic --out "$work/skinned" --skins "$work/skins.npz" --seed "${SEED:-47}" \
  --count "${SKINNED:-28000}" --processes "${PROCESSES:-2}"
precision=()
grep -qs bf16 /proc/cpuinfo && precision=("--precision" bf16-mixed)
"$python" -m likeness train photos -o "$work/points" --data "$data"/photos/{video,photo,people}-train.tar \
  --validation "$data"/photos/{video,photo}-val.tar --point-labels "${labels[@]}" \
  --teacher "$data/teacher-mobilefacenet.onnx" --start "$shipped" --recipe points --learning-rate "${RATE:-1.5e-3}" \
  --budget "${POINTS:-210000}" --synthetic "$work/skinned" --seed "${SEED:-47}" --threads "$threads" --resume "${precision[@]}"
trained=()
for name in {video,photo}-train people-train; do trained+=("$work/labels-$name.npz"); done
"$python" -m likeness train fusion "$work/points" -o "$work/fusion" --data "$data"/photos/{video,photo,people}-train.tar \
  --point-labels "${trained[@]}" --synthetic "$work/skinned" --teacher "$data/teacher-mobilefacenet.onnx" \
  --colours "$shipped" --steps "${FUSED:-2000}" --threads "$threads" --resume
"$python" runs/point_readout.py "$work/fusion/regressor.onnx" "$data/photos/people-train.tar" \
  "$data/photos/people-train-labels.npz" "$work/surface_points.npz"
"$python" runs/landmark_weights.py "$work/fusion/regressor.onnx" "$data/photos/video-train.tar" "$work/surface_points.npz"
"$python" runs/quantize.py "$work/fusion/regressor.onnx" "$data/photos/photo-train.tar" "$work/fusion/regressor_int8.onnx" \
  --points "$work/surface_points.npz" --judge "$data/photos/video-val.tar"
"$python" runs/several_photos.py "$work/fusion/regressor.onnx" "$data/photos" "$work/several" --fusion "$work/fusion" \
  --points "$work/surface_points.npz" --processes "$threads" --rendered 240
"$python" runs/ship.py "$work" "$data" "$assets" --on
