#!/bin/sh
# run_cases.sh PROGRAM FILTER: those cases of a GoogleTest program. 1 where the filter finds none, 77 where each of them skipped itself,
# else what the program says by its exit status. `ctest` cannot tell these apart: GoogleTest calls all of them passed.
xml=$(mktemp) || exit 1
trap 'rm -f "$xml"' EXIT
"$1" --gtest_filter="$2" --gtest_output="xml:$xml"
status=$?
[ $status = 0 ] || exit $status
ran=$(grep -c '<testcase .*result="completed"' "$xml")
skipped=$(grep -c '<testcase .*result="skipped"' "$xml")
[ "$ran" -gt 0 ] && exit 0
[ "$skipped" -gt 0 ] && exit 77
echo "$0: $2 selects no case of $1" >&2
exit 1
