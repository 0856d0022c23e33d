# Arguments: METHOD URL and so on; all by one process.
words=()
while [ $# -gt 0 ]; do
    words+=(-sSNi --suppress-connect-headers -X "$1" "$2")
    [ "$1" = POST ] && words+=(-H 'Content-Type: application/json' -d '{"name": "Bea"}')
    shift 2
    [ $# -gt 0 ] && words+=(--next)
done
exec curl "${words[@]}"
