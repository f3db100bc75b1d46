setenv A 1
setenv B "two three"
unsetenv STABLE
env | grep -E '^(A|B|STABLE)=' | sort
set i = 1
while ($i <= 300)
    setenv V$i $i
    @ i++
end
set i = 1
while ($i <= 300)
    unsetenv V$i
    @ i += 2
end
env | grep -c '^V[0-9]*='
printenv V300
(setenv A sub; printenv A)
printenv A
setenv TZ Asia/Tokyo
date -d @0 +%H
setenv LC_ALL C
set path = (/bin /usr/bin)
printenv PATH
setenv | grep -v -e '^LD_PRELOAD=' -e '^BASH_FUNC' -e '^ ' -e '^}' -e '^_=' -e '^V'
exec env -i D=4 E=5 C=3 env
