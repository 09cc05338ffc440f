#!/usr/bin/env bash
# The four bundled models from nothing: each stage after those that it starts from or is taught by.
#
#   recipes/bundled.sh DATA
#
# DATA holds fer2013/fer2013.csv, fer2013/fer2013new.csv and, for mien-small-affect, affectnet/. It takes days
# of one core; stopped at any time, the same command goes on where it was.
set -eu
recipes=$(dirname "$0")
for stage in mien-small-first mien-small-second mien-base-first mien-small-third mien-base-second \
    mien-small-fourth mien-small-fifth mien-base-third mien-base-fourth mien-base-fifth \
    mien-tiny-first mien-tiny-second mien-tiny-third mien-tiny-fourth mien-tiny-fifth mien-tiny-sixth \
    mien-tiny-seventh mien-tiny-eighth mien-tiny-ninth mien-small-sixth mien-small-eighth; do
    mien train "$recipes/$stage.yaml" --data "$1"
done
for stage in mien-small-eighth mien-base-fifth mien-tiny-ninth; do # versions 5, 5 and 7, which teach
    mien export "runs/$stage" --data "$1" --output "runs/$stage.onnx"
done
for stage in mien-base-eighth mien-small mien-base mien-tiny \
    mien-base-affect mien-small-affect-first mien-small-affect; do
    mien train "$recipes/$stage.yaml" --data "$1"
done
for fold in 1 2 3; do # of PublicTest; the stages above hold out fold 0
    for stage in mien-small mien-base mien-tiny; do
        mien train "$recipes/$stage.yaml" --data "$1" --data.options.fold "$fold" --out "runs/$stage-$fold"
    done
done
for fold in 1 2 3 4; do # of AffectNet; likewise
    mien train "$recipes/mien-base-affect.yaml" --data "$1" --data.options.fold "$fold" \
        --out "runs/mien-base-affect-$fold"
    mien train "$recipes/mien-small-affect-first.yaml" --data "$1" --data.options.fold "$fold" \
        --out "runs/mien-small-affect-first-$fold"
    mien train "$recipes/mien-small-affect.yaml" --data "$1" --data.also.0.options.fold "$fold" \
        --teacher "runs/mien-base-affect-$fold" \
        --distil.teachers "[runs/mien-small-eighth.onnx, runs/mien-small-affect-first-$fold]" \
        --out "runs/mien-small-affect-$fold"
done
for model in mien-small mien-tiny mien-base mien-small-affect; do
    mien export "runs/$model" --data "$1" --output "$model.onnx"
done
