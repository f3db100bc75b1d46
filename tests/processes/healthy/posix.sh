#!/bin/sh
# What shells do to their environment, in the words that all of Bourne's family know.
A=1
export A
export B="two three"
unset STABLE
env | grep -E '^(A|B|STABLE)=' | sort
i=1
while [ $i -le 300 ]; do
    export V$i=$i
    i=$((i + 1))
done
i=1
while [ $i -le 300 ]; do
    unset V$i
    i=$((i + 2))
done
env | grep -c '^V[0-9]*='
printenv V300
(export A=sub; printenv A)
printenv A
A=once printenv A
printenv A
f() {
    A=local
    printenv A
}
f
export TZ=Asia/Tokyo
date -d @0 +%H
export LC_ALL=C
echo "$(export Q=1; printenv Q)"
printenv Q || echo none
exec env -i D=4 E=5 C=3 env
