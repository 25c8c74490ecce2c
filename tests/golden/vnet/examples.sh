# The examples in the documents are labs.
docs=$GOLDEN/../../../docs
for lab in "$docs"/examples/*.yaml; do
    vnet -n "$lab" >/dev/null && echo "${lab##*/}: good"
done

# Each literal block of the page that begins with a key of a lab.
awk '/^\.Bd/ { file = "page" ++n ".yaml"; next } /^\.Ed/ { file = "" } file { print >file }' \
    "$docs/man/vnet-lab.5"
for lab in page*.yaml; do
    if grep -q '^networks:' "$lab"; then
        vnet -n "$lab" >/dev/null && echo "vnet-lab(5), $lab: good"
    fi
done
