#!/usr/bin/env bash
# wilor predict --cache-packed: the second start takes the weights as the first one packed them, with the
# same results; what no longer fits, or is damaged, is made anew; what cannot be kept costs nothing else.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
cd "$scratch" || exit 1
"$CLI_MAKE_PICTURE" a.png 96 80 1 || exit 1
"$CLI_MAKE_MODEL" tiny "$CLI_DATA/hand-cc0.npz" w.safetensors || skip_all "no maker of weights"
export XDG_CACHE_HOME="$scratch/kept"
rm -rf kept
folder=kept/wilor/packed
p=(predict a.png --bbox 10,12,60,70,right --threads 1 --weights w.safetensors)
packed() { echo "$folder"/*.packed; }
stamp() { stat -c '%i %s' "$(packed)"; } # its time is that of the last use

run "${p[@]}" --npz want.npz
is "without" 0
check "nothing is kept unasked" test ! -e kept/wilor/packed
run "${p[@]}" --npz one.npz --cache-packed
is "the first start" 0
check "it is kept" test -s "$(packed)"
check "nothing else" test "$(find "$folder" | wc -l)" -eq 2
check "the same result" "$CLI_CHECK" same want.npz one.npz 0
check "silently" empty err
first=$(stamp)
run "${p[@]}" --npz two.npz --cache-packed
check "the second start: the same result" "$CLI_CHECK" same want.npz two.npz 0
check "the file stays" test "$(stamp)" = "$first"

# Used it was, too: another hand in the file is another hand in the result.
cp "$(packed)" sound
printf '\177' | dd of="$(packed)" bs=1 seek=$(($(stat -c %s sound) - 3001)) conv=notrunc 2>/dev/null
head -c 3000000 /dev/zero | tr '\0' '\060' >noise
dd if=noise of="$(packed)" bs=4096 seek=1 conv=notrunc 2>/dev/null
truncate -s "$(stat -c %s sound)" "$(packed)"
run "${p[@]}" --npz three.npz --cache-packed
check "the second start reads the file" bash -c '! '"'$CLI_CHECK'"' same want.npz three.npz 0'
cp sound "$(packed)"

head -c 5000 sound >"$(packed)"
run "${p[@]}" --npz four.npz --cache-packed
check "a file that was cut: the same result" "$CLI_CHECK" same want.npz four.npz 0
check "and made anew" cmp -s sound "$(packed)"
touch -d '2 hours ago' w.safetensors
run "${p[@]}" --npz five.npz --cache-packed
check "weights written at another time: the same result" "$CLI_CHECK" same want.npz five.npz 0
check "and made anew" bash -c "! cmp -s sound '$(packed)'"
WILOR_ISA=c "$WILOR" "${p[@]}" --cache-packed >out 2>err
check "another tier has a file of its own" test "$(find "$folder" -name '*.packed' | wc -l)" -eq 2
run cache list
check "cache list shows them" grep -q packed out
run cache clean --yes
check "cache clean removes them" test "$(find "$folder" -name '*.packed' | wc -l)" -eq 0

# The limit: the least recently used goes first, never what is in use, nor what is not ours.
for n in 1 2 3 4; do cp w.safetensors "w$n.safetensors"; done
kept() { find "$folder" -name '*.packed' | wc -l; }
keep() { # keep N: predict with the Nth file of weights
    "$WILOR" predict a.png --bbox 10,12,60,70,right --threads 1 --weights "w$1.safetensors" --cache-packed >out 2>err
    rc=$?
}
size=$(stat -c %s sound)
export WILOR_PACKED_LIMIT=$((3 * size + 100))
keep 1
first=$(packed)
check "one within the limit" test "$(kept)" -eq 1
keep 2
second=$(find "$folder" -name '*.packed' ! -path "$first")
keep 3
check "three within the limit" test "$(kept)" -eq 3
touch -d '3 hours ago' "$folder"/*.packed
touch -d '2 hours ago' "$second"
keep 1
check "a use is noted" test -n "$(find "$first" -mmin -5)"
echo mine >"$folder/notes"
echo "wilor packed 1" >"$folder/mine.packed"
echo mine >"$folder/0123456789abcdef.packed"
keep 4
check "with a fourth the oldest goes" test "$(find "$folder" -name '*.packed' -size +1k | wc -l)" -eq 3
check "not the one used last" test -e "$first"
check "nor the second" test -e "$second"
touch -d '3 hours ago' "$first"
exec 9<"$first" # by this shell
flock -s 9
keep 3
check "what is in use stays, however old" test -e "$first"
check "the next one goes" test ! -e "$second"
run cache list
check "cache list says when" grep -q 'last used 20..-' out
check "and what is in use" grep -q "$(basename "$first").*not to be removed" out
run cache clean --yes
check "cache clean leaves what is in use" test "$(find "$folder" -name '*.packed' -size +1k)" = "$first"
exec 9<&-
check "others' files stay" test "$(cat "$folder/notes" "$folder/0123456789abcdef.packed")" = "mine
mine"
check "whatever their name" test -e "$folder/mine.packed"
WILOR_PACKED_LIMIT=$((size - 100)) keep 4
is "more than the limit: only a note" 0
check "which says so" says "WILOR_PACKED_LIMIT"
check "and nothing went for it" test -e "$first"
WILOR_PACKED_LIMIT=much keep 4
is "no number: only a note" 0
check "which says so" says "16G or 500M"
for n in 1 2 3 4 1 2 3 4; do
    "$WILOR" predict a.png --bbox 10,12,60,70,right --threads 1 --weights "w$n.safetensors" --cache-packed \
        --npz "at-once-$n.npz" -o /dev/null 2>>at-once &
done
wait
check "eight at once: none fails, some may find no room" test -z "$(grep -v 'what is in use are more than' at-once)"
for n in 1 2 3 4; do check "and the same results" "$CLI_CHECK" same want.npz "at-once-$n.npz" 0; done
keep 1
check "within the limit" test "$(find "$folder" -name '*.packed' -size +1k | wc -l)" -le 3
check "nothing half-written" test -z "$(find "$folder" -name '*.tmp')"
unset WILOR_PACKED_LIMIT
rm -rf kept

# By hand: convert --to packed, predict --packed.
run convert w.safetensors w.packed --to packed
is "convert --to packed" 0
check "silently" empty err
check "nothing in the cache" test -z "$(find kept -name '*.packed')"
check "the same bytes as the cache's" cmp -s w.packed <("$WILOR" "${p[@]}" --cache-packed >out && cat "$folder"/*.packed)
run cache clean --yes
run "${p[@]}" --npz hand.npz --packed w.packed
check "predict --packed: the same result" "$CLI_CHECK" same want.npz hand.npz 0
check "silently" empty err
cp w.packed other.packed
dd if=noise of=other.packed bs=4096 seek=1 conv=notrunc 2>/dev/null
truncate -s "$(stat -c %s w.packed)" other.packed
run "${p[@]}" --npz hand.npz --packed other.packed
check "and its numbers are those of the file" bash -c '! '"'$CLI_CHECK'"' same want.npz hand.npz 0'
head -c 5000 w.packed >other.packed
cp other.packed cut.packed
run "${p[@]}" --npz hand.npz --packed other.packed
is "one that does not fit" 0
check "says so" says "--packed 'other.packed' is not used"
check "is not needed" "$CLI_CHECK" same want.npz hand.npz 0
check "and is left alone" cmp -s other.packed cut.packed
run "${p[@]}" --packed nowhere.packed
is "one that is not there" 4
run "${p[@]}" --packed w.packed --cache-packed
is "by hand and by itself" 2
run convert w.safetensors no/where.packed --to packed
is "no folder there" 1
check "none is made" test ! -e no
run convert nothing.safetensors x.packed --to packed
is "no source" 1
check "no file is left" test -z "$(find . -maxdepth 1 -name 'x.packed*')"
run convert random:tiny r.packed --to packed --mano "$CLI_DATA/hand-cc0.npz"
is "weights by formula, a hand beside them" 0

rm -rf kept
: >kept
run "${p[@]}" --npz six.npz --cache-packed
is "no folder for it: only a note" 0
check "which says why" says "packed weights are not kept"
check "the same result" "$CLI_CHECK" same want.npz six.npz 0
rm -f kept
finish
