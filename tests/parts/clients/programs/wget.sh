# Arguments: METHOD URL and so on. One process takes several URLs, but one method only.
wget=(wget -nv --ca-certificate="$SSL_CERT_FILE" --tries=1 --content-on-error --save-headers -O -)
while [ $# -gt 0 ]; do
    method=$1 urls=()
    while [ $# -gt 0 ] && [ "$1" = "$method" ]; do
        urls+=("$2")
        shift 2
    done
    options=(--method="$method")
    [ "$method" = POST ] && options+=(--header='Content-Type: application/json' --body-data='{"name": "Bea"}')
    "${wget[@]}" "${options[@]}" "${urls[@]}"
done
