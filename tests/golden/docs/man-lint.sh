# Man pages are without a fault.
cd "$GOLDEN/../../.." || exit 1
mandoc -T lint -W warning docs/man/* && echo clean
