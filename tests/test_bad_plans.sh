#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What a plan is made from, when it is something else: machines, devices, rates, placements, numbers of options. And files
# that are written to places which are no files.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
make_models
MBR_CACHE=off
export MBR_CACHE
model=layers.onnx
mkdir folder.xml
mkfifo pipe.xml
: >empty.xml
head -c 20000 /dev/urandom >noise.xml

# --- machines ---
if mbr plan $model --topology "core:2 pu:1" --brief 2>&1 | grep -q "needs hwloc"; then
    skip "machines: there is no hwloc"
else
    entity=aaaaaaaaaa
    {
        echo '<?xml version="1.0"?><!DOCTYPE t [<!ENTITY a0 "'$entity'">'
        for k in 1 2 3 4 5 6 7 8 9; do
            before="&a$((k - 1));"
            echo "<!ENTITY a$k \"$before$before$before$before$before$before$before$before$before$before\">"
        done
        echo ']><topology version="2.0"><object type="Machine"><info name="a" value="&a9;"/></object></topology>'
    } >laughs.xml
    {
        printf '<topology version="2.0">'
        yes '<object type="Group">' | head -n 50000
    } >deep.xml
    echo '<topology version="99.0"><object type="Machine"/></topology>' >later.xml
    for file in folder.xml pipe.xml empty.xml noise.xml laughs.xml deep.xml later.xml /dev/zero /dev/null; do
        expect 3 "$file|no topology|lstopo" mbr plan $model --topology "$file"
    done
    expect 3 'nothing.xml|No such file' mbr plan $model --topology nothing.xml
    expect 3 'No such file' mbr plan $model --topology ''
    for text in : pu:0 pu:-1 pu:99999999999 'x:1' 'package:2 package:2' 'core:2'; do
        expect 3 'no topology' mbr plan $model --topology "$text"
    done
    if env --ignore-signal=CHLD true 2>/dev/null; then
        # shellcheck disable=SC2086
        check "children whose status nobody gets" \
            env --ignore-signal=CHLD $EMULATOR "$MBR" plan $model --topology 'core:2 pu:1' --brief
    else
        skip "children whose status nobody gets: this env ignores no signals"
    fi
    # the environment's is for tests: what is none counts for nothing, and is not waited for
    for file in /dev/zero pipe.xml noise.xml nothing.xml; do
        check "MBR_TOPOLOGY=$file" env MBR_TOPOLOGY=$file timeout 60 sh -c "$EMULATOR \"$MBR\" info $model"
    done
fi

# --- devices ---
# facts JSON: a file of one device, called quick, with these members besides
facts()
{
    echo "{\"devices\": [{\"name\": \"quick\"$1}]}" >a.json
}
facts ''
if mbr plan $model --devices a.json 2>&1 | grep -q "configure it with jansson"; then
    skip "devices: this build reads no JSON"
else
    for fact in '"launch_us": -1' '"launch_us": 1e300' '"gflops_f32": 1e-300' '"gflops_f32": "1"' '"unified": 1' \
        '"node": -1' '"node": 99999999999' '"node": 0.5' '"speed": 1'; do
        facts ", $fact"
        name=${fact%%:*}
        expect 3 "a.json|device 0|'$(echo "$name" | tr -d '"')'|docs/placement.md" mbr plan $model --devices a.json
    done
    for fact in '"launch_us": NaN' '"launch_us": 1e999' '"launch_us": ' '"name": "other"'; do
        facts ", $fact"
        expect 3 'a.json|line 1' mbr plan $model --devices a.json
    done
    for name in '' cpu 'two words' abcdefghijklmnopqrstuvwxyz; do
        echo "{\"devices\": [{\"name\": \"$name\"}]}" >a.json
        expect 3 'a.json|device 0|name of its own' mbr plan $model --devices a.json
    done
    echo '{"devices": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}' >a.json
    expect 3 "a.json|devices 0 and 2|'a'" mbr plan $model --devices a.json
    for text in '[]' '{}' '{"devices": {}}' '{"devices": 1}'; do
        echo "$text" >a.json
        expect 3 'a.json|"devices", a list' mbr plan $model --devices a.json
    done
    for text in '' '5' '{"devices": [' '{"devices": [{"name": "a\u0000b"}]}'; do
        echo "$text" >a.json
        expect 3 'a.json|line' mbr plan $model --devices a.json
    done
    yes '[' | head -n 50000 >a.json
    expect 3 'a.json|depth' mbr plan $model --devices a.json
    expect 3 'noise.xml|line' mbr plan $model --devices noise.xml
    expect 3 '/dev/zero|longer than' mbr plan $model --devices /dev/zero
fi

# --- a device without memory for anything gets nothing ---
facts ', "gflops_f32": 100000, "memory_bytes": 1'
check "no memory, no steps" sh -c "! $EMULATOR \"$MBR\" plan $model --devices a.json --brief | grep '^quick '"

# --- rates ---
for rate in 'product 1 2 3' 'wake 3000 ns' 'overlap 7' 'scale 2' 'caches 0 0' 'read 1e-300 1 1' 'product nan 1' 'product inf 1' 'product -1 1' 'product 1' 'wake 0' 'scale 0' 'overlap nan' 'caches -1 5' \
    'read 1 1' 'nothing 1 2' 'wake 1e13'; do
    printf '# one\n%s\n' "$rate" >a.rates
    expect 3 'rates, line 2|docs/placement.md' mbr plan $model --rates a.rates
done
printf 'wake 3000\n\000join 1\n' >a.rates
expect 3 'a.rates|no text|at 10' mbr plan $model --rates a.rates
expect 3 '/dev/zero|longer than' mbr plan $model --rates /dev/zero
expect 3 'folder.xml|Is a directory' mbr plan $model --rates folder.xml

# --- placements ---
for pin in 'first' 'first cpu threads=0' 'first cpu threads=2000' 'first cpu threads=99999999999' 'first cpu threads=2x' \
    'first cpu beside' 'first cpu threads=1 beside'; do
    printf '# one\n%s\n' "$pin" >a.pins
    expect 2 'placement, line 2|NODE DEVICE' mbr plan $model --placement a.pins
done
printf 'first cpu\000\nnobody cpu\n' >a.pins
expect 3 'a.pins|no text|at 9' mbr plan $model --placement a.pins
expect 3 'a.pins|no text|at 9' mbr info $model --placement a.pins
expect 3 '/dev/zero|longer than' mbr plan $model --placement /dev/zero
head -c 2000 /dev/zero | tr '\000' n >a.pins
expect 2 'placement, line 1|longer than any name' mbr plan $model --placement a.pins

# --- numbers ---
for number in 0 -1 1025 many '' 0x10 1e1 4.5 99999999999999999999; do
    expect 2 "--threads $number: a number" mbr info $model --threads "$number"
done
for number in -1 many '' 1T nan 99999999999999999999G; do
    expect 2 "--replicas $number: a number of bytes" mbr info $model --replicas "$number"
done

# --- what is written to a place that is no file goes there, and leaves it what it is ---
echo before >target.svg
ln -s target.svg link.svg
expect 0 '' mbr plan $model --brief --svg link.svg
check "a link stays one" test -L link.svg
check "and leads to what was written" grep -q '</svg>' target.svg
(cat pipe.xml >piped.svg) &
expect 0 '' mbr plan $model --brief --svg pipe.xml
wait
check "a pipe stays one" test -p pipe.xml
check "and has brought it all" grep -q '</svg>' piped.svg
if mknod null c 1 3 2>/dev/null && echo >null 2>/dev/null; then
    for option in --svg --dot; do
        expect 0 '' mbr plan $model --brief $option null
        check "a device stays one ($option)" test -c null
    done
else
    skip "a device: making one takes a privilege"
fi

# --- kept rates that are a pipe ---
mbr plan $model --cache kept >"$work/.out" 2>"$work/.err"
for file in kept/rates-*; do
    rm "$file"
    mkfifo "$file"
done
expect 0 'rates:   measured' mbr plan $model --cache kept
finish
