# Gets a token for REGISTRY from the job's platform, and logs docker in with it.
set -euo pipefail

: "${REGISTRY:?name the registry}"
audience=${AUDIENCE:-$REGISTRY}

if [ -z "${ACTIONS_ID_TOKEN_REQUEST_URL:-}" ] || [ -z "${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-}" ]; then
    echo '::error::The platform gives this job no token. Write `permissions: {id-token: write}` (GitHub) or `enable-openid-connect: true` (Forgejo).'
    exit 1
fi

# The platform's URL has a query already. The bearer token is passed on standard input: arguments are visible.
answer=$(printf 'header = "Authorization: Bearer %s"\n' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" |
    curl --silent --show-error --fail --retry 3 --max-time 30 --config - \
        --get --data-urlencode "audience=$audience" "$ACTIONS_ID_TOKEN_REQUEST_URL")
token=$(printf '%s' "$answer" | sed -n 's/.*"value" *: *"\([^"]*\)".*/\1/p')
if [ -z "$token" ]; then
    echo '::error::The platform answered without a token.'
    exit 1
fi
echo "::add-mask::$token"
printf '%s' "$token" | docker login --username workload --password-stdin "$REGISTRY"
