#!/usr/bin/env bash
# From the data folder to the shipped assets: template, PCA model, registered people, sphere model (stage 1),
# synthetic faces, a first network, morphs, the network (stage 2), surface points, what to believe of them, the face finder,
# export, provenance.
#
#   runs/build_default.sh DATA [WORK]
#
# DATA holds ict-face-model.npz, teacher-mobilefacenet.onnx, MediaPipe's models in teachers/mediapipe, portraits,
# photos/people-train.tar with people-train-labels.npz, and photos/{video,photo}-{train,val}.tar (see benchmarks/README.md for the
# layout and where to get such data). WORK (default: work) takes what is made on the way and can be deleted. BUDGET, PLACES, HEADS,
# POINTS and SCOUT (samples that features, features with more landmarks, heads, the decoder of surface points and the first network
# see), PEOPLE (registered ones that the sphere model is learned from) and SPHERE (their meshes seen), SYNTHETIC, SKINNED and MORPHS
# (faces), SKINS (people whose skins are taken), MAPPED (pictures that say where MediaPipe's points lie), FUSED (steps of the fusion)
# and SCENES (of the face finder) set the size; THREADS the CPU threads, WORKERS the processes that make samples, PROCESSES those
# that make faces. Trainings of a run that was ended go on from their checkpoints.
#
# TRIAL=1 does all of it with a few photos of a few people, small numbers and nothing for the package: what would be shipped
# goes into a copy of it, WORK/package. It is there to see that everything runs; heads that such a network sees are of no use.
#
# RENDERED_ONLY=1 is for who cannot use photographs: the face model, its rendered faces, and a network that has seen nothing but
# these, POINTS samples of them, from nothing. DATA then needs ict-face-model.npz and teachers/mediapipe alone (which says where
# its points lie, on rendered faces). Nothing is copied into the package, whose other files were learned from photographs; at
# the end it says how the network is used and measured.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?usage: runs/build_default.sh DATA [WORK]}
work=${2:-work}
rendered_only=${RENDERED_ONLY:-}
trial=${TRIAL:-}
python=${PYTHON:-.venv/bin/python}
assets=src/likeness/assets
size() { if [ -n "$trial" ]; then echo "$2"; else echo "$1"; fi; } # as large as for what is shipped, or as small as goes
people=${PEOPLE:-$(size 3600 160)} # more than a code of 128 numbers can tell apart
sphere=${SPHERE:-$(size 1500000 1000)}
synthetic=${SYNTHETIC:-$(size 30000 120)}
mapped=${MAPPED:-$(size 2000 40)}
scout=${SCOUT:-$(size 250000 56)}
morphs=${MORPHS:-$(size 64000 120)}
features=${BUDGET:-$(size 2000000 56)}
places=${PLACES:-$(size 800000 56)}
heads=${HEADS:-$(size 240000 56)}
skins=${SKINS:-$(size 1080 24)}
skinned=${SKINNED:-$(size 40000 120)}
points=${POINTS:-$(size "$([ -n "$rendered_only" ] && echo 600000 || echo 1500000)" 56)}
fused=${FUSED:-$(size 2000 20)}
scenes=${SCENES:-$(size 400000 64)}
large=("--batch" 4) small=() sure=()
if [ -n "$trial" ]; then
  # Whether what a network of a trial sees is a face is not asked: it has not learned to tell.
  large=() small=("--batch" 0.25) sure=("--min-score" 0)
fi

make .venv/.dev
"${python%python}pip" install --quiet --disable-pip-version-check -e ".[build,points]"
mkdir -p "$work"
if [ -n "$trial" ] && [ -z "$rendered_only" ]; then
  "$python" runs/trial_data.py "$data" "$work/data"
  data=$work/data
fi
[ -e "$work/template.npz" ] || "$python" runs/build_template.py "$work/template.npz"
frames=()
[ -n "$rendered_only" ] || frames=("--frames" "$data/photos/video-train.tar")
[ -e "$work/face_model.json" ] || "$python" runs/build_model.py "$work/template.npz" "$data/ict-face-model.npz" \
  "$work/face_model.npz" "${frames[@]}"
"$python" runs/build_people.py "$work/template.npz" "$work/face_model.npz" "$work/carried.npz" "$work/people.npz" \
  --people "$people" --held-out "$((people / 9))"
code=0
"$python" -m likeness train scans "$work/people.npz" -o "$work/sphere.npz" --template "$work/face_model.npz" \
  --size 128 --budget "$sphere" --run "$work/sphere" --resume || code=$?
if [ "$code" -ne 0 ] && { [ "$code" -ne 1 ] || [ -z "$trial" ]; }; then exit "$code"; fi
"$python" -m likeness train synthetic --model "$work/sphere.npz" --out "$work/synthetic" --count "$synthetic" \
  --processes "${PROCESSES:-2}"
photos=("--model" "$work/sphere.npz" "--synthetic" "$work/synthetic" "--threads" "${THREADS:-2}"
  "--workers" "${WORKERS:-1}" "--resume" "${small[@]}")
grep -qs bf16 /proc/cpuinfo && photos+=("--precision" bf16-mixed)
# Texture coordinates that give the face most of a texture, and where MediaPipe's points lie on the model.
"$python" runs/build_uv.py "$work/sphere.npz" "$work/uv_layout.npz"
[ -e "$work/surface_points.npz" ] ||
  "$python" runs/map_points.py "$work/sphere.npz" "$data/teachers/mediapipe" "$work/surface_points.npz" --count "$mapped"
if [ -n "$rendered_only" ]; then
  "$python" -m likeness train photos -o "$work/points" --point-map "$work/surface_points.npz" --recipe points \
    --learning-rate 2.5e-3 --budget "$points" "${photos[@]}"
  "$python" -m likeness train fusion "$work/points" -o "$work/fusion" --synthetic "$work/synthetic" --model "$work/sphere.npz" \
    --point-map "$work/surface_points.npz" --threads "${THREADS:-2}" --resume
  echo "likeness reconstruct PHOTO --model $work/sphere.npz --network $work/fusion/regressor.onnx --points $work/surface_points.npz"
  echo "$python benchmarks/fidelity.py $data --model $work/sphere.npz --network $work/fusion/regressor.onnx --map $work/surface_points.npz"
  exit
fi
# A first network, of landmarks and rendered faces alone, finds the faces of photographs that have no landmarks.
"$python" -m likeness train photos -o "$work/scout" --data "$data/photos/video-train.tar" --recipe tikhonov \
  --budget "$scout" "${photos[@]}"
"$python" -m likeness train morphs --data "$data"/photos/{video,photo}-train.tar --run "$work/scout" --model "$work/sphere.npz" \
  --teacher "$data/teacher-mobilefacenet.onnx" --out "$work/morphs" --count "$morphs" \
  --processes "${PROCESSES:-2}"
more=("--data" "$data/photos/video-train.tar" "$data/photos/photo-train.tar"
  "--validation" "$data/photos/video-val.tar" "$data/photos/photo-val.tar"
  "--morphs" "$work/morphs" "--teacher" "$data/teacher-mobilefacenet.onnx")
# Features first, for a long time, then with much more weight on landmarks; what is read from them is then learned anew, for
# recognisable shapes. Each network finds landmarks in photographs better than the one before it, and labels for the next.
"$python" -m likeness train photos -o "$work/features" "${more[@]}" --labeller "$work/scout" --recipe features \
  --learning-rate 3e-3 "${large[@]}" --budget "$features" "${photos[@]}"
"$python" -m likeness train photos -o "$work/places" "${more[@]}" --labeller "$work/features" --start "$work/features" \
  --recipe places --learning-rate 1.5e-3 "${large[@]}" --budget "$places" "${photos[@]}"
"$python" -m likeness train photos -o "$work/default" "${more[@]}" --labeller "$work/places" --trunk "$work/places" \
  --recipe heads --budget "$heads" "${photos[@]}"
# Where MediaPipe's points lie in photographs; then the network learns to place them itself.
labels=()
for name in {video,photo}-{train,val} people-train; do
  labels+=("$work/labels-$name.npz")
  [ -e "$work/labels-$name.npz" ] || "$python" -m likeness train label-points --data "$data/photos/$name.tar" \
    --teacher "$data/teachers/mediapipe" --network "$work/default/regressor.onnx" --model "$work/sphere.npz" \
    --threads "${THREADS:-2}" -o "$work/labels-$name.npz" "${sure[@]}"
done
# Rendered faces again, now in the skins of real people, with hair, closed eyes and profiles.
[ -e "$work/skins.npz" ] || "$python" -m likeness train skins --data "$data"/photos/{people,photo}-train.tar -o "$work/skins.npz" \
  --model "$work/sphere.npz" --network "$work/default/regressor.onnx" --people "$skins" "${sure[@]}"
"$python" -m likeness train synthetic --model "$work/sphere.npz" --out "$work/skinned" --skins "$work/skins.npz" --seed 41 \
  --count "$skinned" --processes "${PROCESSES:-2}"
"$python" -m likeness train photos -o "$work/points" --data "$data"/photos/{video,photo,people}-train.tar \
  --validation "$data"/photos/{video,photo}-val.tar --point-labels "${labels[@]}" --point-map "$work/surface_points.npz" \
  --teacher "$data/teacher-mobilefacenet.onnx" --start "$work/default" --recipe points --learning-rate 1.5e-3 \
  --budget "$points" "${photos[@]}" --synthetic "$work/skinned"
# What to believe of that network's features and of its points, learned from people's many photos and from rendered faces.
trained=()
for name in {video,photo}-train people-train; do trained+=("$work/labels-$name.npz"); done
"$python" -m likeness train fusion "$work/points" -o "$work/fusion" --data "$data"/photos/{video,photo,people}-train.tar \
  --point-labels "${trained[@]}" --synthetic "$work/skinned" --model "$work/sphere.npz" --point-map "$work/surface_points.npz" \
  --teacher "$data/teacher-mobilefacenet.onnx" --colours "$work/default" --steps "$fused" --threads "${THREADS:-2}" --resume
# What the points tell of lids, lips and other movements.
"$python" runs/point_readout.py "$work/fusion/regressor.onnx" "$data/photos/people-train.tar" \
  "$data/photos/people-train-labels.npz" "$work/surface_points.npz" --model "$work/sphere.npz"
# The 68 landmarks, as annotators place them, from the points and the head that is fitted to them.
"$python" runs/landmark_weights.py "$work/fusion/regressor.onnx" "$data/photos/video-train.tar" "$work/surface_points.npz" \
  --model "$work/sphere.npz"
# The same network with its convolutions in 8 bits.
"$python" runs/quantize.py "$work/fusion/regressor.onnx" "$data/photos/photo-train.tar" "$work/fusion/regressor_int8.onnx" \
  --model "$work/sphere.npz" --points "$work/surface_points.npz" --judge "$data/photos/video-val.tar" "${sure[@]}"
# What is in front of skin in a photograph: hands, glasses, hair.
"$python" runs/build_skin_mask.py "$data/photos/photo-train.tar" "$work/skin_mask.npz" --model "$work/sphere.npz" \
  --network "$work/fusion/regressor.onnx" --points "$work/surface_points.npz" "${sure[@]}"
# Whether a face wears glasses, and where.
"$python" runs/build_glasses.py "$data"/photos/{people,photo}-train.tar "$work/glasses.onnx" --model "$work/sphere.npz" \
  --network "$work/fusion/regressor.onnx" --points "$work/surface_points.npz" --most "$(size 2400 40)" --steps "$(size 2500 10)" \
  "${sure[@]}"
# What photos of one person have in common, and what not.
"$python" runs/several_photos.py "$work/fusion/regressor.onnx" "$data/photos" "$work/several" --fusion "$work/fusion" --model "$work/sphere.npz" \
  --points "$work/surface_points.npz" --processes "${THREADS:-2}" --rendered "$(size 240 8)" "${sure[@]}"
finder=("--data" "$data" "--model" "$work/sphere.npz" "--synthetic" "$work/synthetic" "--network" "$work/fusion/regressor.onnx"
  "--threads" "${THREADS:-2}" "--workers" "${WORKERS:-1}" "--resume" "${sure[@]}")
"$python" -m likeness train detector --out "$work/finder_first" --budget "$scenes" "${finder[@]}"
"$python" -m likeness train detector --out "$work/finder" --start "$work/finder_first" --learning-rate 1.5e-3 \
  --budget "$((scenes * 3 / 4))" "${finder[@]}"
if [ -n "$trial" ]; then
  rm -rf "$work/package"
  mkdir "$work/package"
  cp -r src/likeness "$work/package"
  assets=$work/package/likeness/assets
  export PYTHONPATH="$work/package${PYTHONPATH:+:$PYTHONPATH}"
fi
"$python" runs/ship.py "$work" "$data" "$assets" "${sure[@]}"
[ -z "$trial" ] || echo "PYTHONPATH=$work/package $python -m likeness reconstruct PHOTO"
