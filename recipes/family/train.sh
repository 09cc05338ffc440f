#!/usr/bin/env bash
# The whole family on one GPU: three teachers side by side, then the students that all of them teach,
# each with several seeds.
#
#   recipes/family/train.sh DATA [OUT] [FIELDS...]
#
# DATA holds fer2013.csv and fer2013new.csv. OUT, by default runs/family, gets a run folder and a log
# for each network; it ends with the last epoch of each. FIELDS are given to every run: --epochs 2.
# Stopped at any time, the same command goes on where it was. Choose on PublicTest, which these
# figures are of; `mien export` and `mien evaluate` do the rest.
#
#   STUDENTS="mien_tiny:240 mien_small:160 mien_base:120"   networks, with their epochs
#   SEEDS="0 1 2"
#   FACES=dlib_face_recognition_resnet_model_v1.dat   if given, a fourth teacher starts from that file:
#                                                     recipes/mien-teacher-faces.yaml
set -eu
data=$1
out=${2:-runs/family}
shift $(($# < 2 ? $# : 2))
students=${STUDENTS:-mien_tiny:240 mien_small:160 mien_base:120}
seeds=${SEEDS:-0 1 2}
recipes=$(dirname "$0")
python=${PYTHON:-python3}
mkdir -p "$out"

start() { # VERB RECIPE NAME ARGUMENTS...: in the background, its output in NAME.log
    local verb=$1 recipe=$2 name=$3
    shift 3
    "$python" -m mien "$verb" "$recipes/$recipe.yaml" --data "$data" --out "$out/$name" "$@" \
        >>"$out/$name.log" 2>&1 &
    jobs+=("$!:$name")
}

finish() { # wait for all that was started; the end of the log of one that failed
    local failed=0
    for job in "${jobs[@]}"; do
        wait "${job%%:*}" || { failed=1; echo "${job#*:} failed:" && tail -n 3 "$out/${job#*:}.log"; } >&2
    done
    jobs=()
    return "$failed"
}

jobs=()
start train teacher teacher-plain --model.name mien_base --seed 10 "$@"
start train teacher teacher-large --model.name mien_base --model.size 64 --seed 11 "$@"
start train teacher teacher-squeeze --model.name senet_small --seed 12 "$@"
taught=(--teacher "$out/teacher-plain" --teacher "$out/teacher-large" --teacher "$out/teacher-squeeze")
if [ -n "${FACES:-}" ]; then
    start train ../mien-teacher-faces teacher-faces --init "$FACES" --device cuda --precision bf16 \
        --compile false "$@"
    taught+=(--teacher "$out/teacher-faces")
fi
finish

for student in $students; do
    for seed in $seeds; do
        start distill student "${student%%:*}-s$seed" --model.name "${student%%:*}" \
            --epochs "${student#*:}" --seed "$seed" "${taught[@]}" "$@"
    done
done
finish

for folder in "$out"/*/; do
    echo "$(basename "$folder"): $(sed -n '1p;$p' "$folder/history.csv" | tr -d '\r' | paste -s -d ' ')"
done
