set -gx A 1
set -e STABLE
set -gx B two three
env | grep -E '^(A|B|STABLE)=' | sort
for i in (seq 300)
    set -gx V$i $i
end
for i in (seq 1 2 300)
    set -e V$i
end
env | grep -c '^V[0-9]*='
printenv V300
begin
    set -lx L inner
    printenv L
end
printenv L; or echo none
X=y printenv X
set -gx TZ Asia/Tokyo
date -d @0 +%H
set -gx LC_ALL C
function f
    set -lx A local
    printenv A
end
f
printenv A
exec env -i D=4 E=5 C=3 env
