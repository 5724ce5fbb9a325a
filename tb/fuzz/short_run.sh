#!/bin/sh
# Build the fuzz targets with clang++ and let each try some thousand inputs, the same ones each time. $1: source folder, $2: build folder,
# $3: inputs. Exit status 77, and a word: there is no clang++.
command -v clang++ >/dev/null || { echo "clang++ is not installed: fuzzing skipped"; exit 77; }
cmake -S "$1" -B "$2" -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang -DUNDERSTUDY_FUZZ=ON \
  -DUNDERSTUDY_FUZZ_RUNS="$3" -DUNDERSTUDY_FUZZ_SECONDS=60 -DUNDERSTUDY_FUZZ_SEED=1 >/dev/null || exit 1
rm -rf "$2/found"/*/* # what an earlier run found
cmake --build "$2" -j1 || exit 1
# Where the kernel lets us, at the same addresses each time: they decide which inputs come next.
setarch -R true 2>/dev/null && exec setarch -R ctest --test-dir "$2" --output-on-failure
exec ctest --test-dir "$2" --output-on-failure
