#!/usr/bin/env bash
# The whole path, from a root access key on disk to a signed-in AWS CLI, on a token made of
# software and an AWS that runs on this machine. Nothing in here is real; nothing stays behind.
set -euo pipefail
umask 077
cd "$(dirname "$0")/.."

BIN=${ROOTSEAL_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/${BUILD:-debug}}
PATH=$(cd "$BIN" && pwd):$PATH
export PATH
for program in rootseal rootseald rootseal-virtual-token aws python3 setsid; do
  if ! command -v "$program" >/dev/null; then
    printf 'demo: %s is missing; run "make demo"\n' "$program" >&2
    exit 1
  fi
done

# The caller's own AWS settings have no say here, and loopback needs no proxy.
for name in "${!AWS_@}" "${!ROOTSEAL_@}"; do unset "$name"; done
export AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true AWS_PAGER=''
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1

# A socket's path may have 107 bytes, so a long TMPDIR will not do.
base=${TMPDIR:-/tmp}
((${#base} <= 60)) || base=/tmp
D=$(mktemp -d "$base/rootseal-demo.XXXXXX")
pids=()
finish() {
  local status=$?
  trap - EXIT
  # Our own children alone, by number.
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  if ((status != 0)); then
    printf '\nThe demo stopped (exit %s). What the programs said:\n' "$status" >&2
    tail -n 20 "$D"/*.log >&2 2>/dev/null || true
  fi
  rm -rf "$D"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bold='' dim='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi

# Prints what follows as a shell would be given it, the temporary directory as $D.
show() {
  local word line=''
  for word in "$@"; do
    word=${word//"$D"/\$D}
    [[ $word == *[[:space:]]* ]] && word="\"$word\""
    line+=" $word"
  done
  printf '%s$%s%s\n' "$bold" "$line" "$plain"
}
explain() { printf '\n%s\n' "$*"; }

# Long secrets are cut on the screen: a habit to keep, even for invented ones.
shorten() { sed -E 's/("(SecretAccessKey|SessionToken)": *"[^"]{4})[^"]*"/\1…"/g'; }
run() {
  show "$@"
  "$@" | shorten
}

# Starts a program in the background and returns once it says that it is ready.
start() {
  local name=$1
  shift
  show "$@" '&'
  mkfifo "$D/$name.ready"
  "$@" --ready-fd 3 3>"$D/$name.ready" </dev/null >"$D/$name.log" 2>&1 &
  pids+=($!)
  if ! read -r ready <"$D/$name.ready"; then
    printf 'demo: %s ended before it was ready\n' "$name" >&2
    exit 1
  fi
}

random_letters() { head -c "$1" /dev/urandom | base32 -w0; }

printf '%srootseal: a root key goes behind a security token%s\n' "$bold" "$plain"
printf '%sEverything is invented: the AWS account, its keys, the token. %s is %s.%s\n' \
  "$dim" "\$D" "$D" "$plain"

explain 'AWS gives you three things for its root user: an access key (rootkey.csv), a QR code with the
seed of the six-digit MFA codes, and a warning to guard both. Here they are, made up on the spot.'
key_id=AKIA$(random_letters 10)
secret=$(head -c 30 /dev/urandom | base64 -w0)
seed=$(random_letters 40)
printf 'Access key ID,Secret access key\r\n%s,%s\r\n' "$key_id" "$secret" >"$D/rootkey.csv"
printf 'otpauth://totp/root-account-mfa-device@111122223333?secret=%s\n' "$seed" >"$D/uri"
printf '123456' >"$D/pin"
show ls "$D"
ls "$D"

explain 'In place of AWS: a server on this machine, as strict as the real one. It checks every signature
and takes each MFA code once.'
printf '%s' "$secret" >"$D/aws.secret"
printf '%s' "$seed" >"$D/aws.seed"
start aws python3 tests/fake_aws/server.py --account 111122223333 --access-key-id "$key_id" \
  --secret-file "$D/aws.secret" --totp-seed-file "$D/aws.seed" --log "$D/aws.requests"
aws_url=${ready#READY=1 }

explain 'In place of a security key in the USB port: one made of software, with the PIN 123456. Its touch
is automatic; a real one blinks and waits for your finger.'
start token rootseal-virtual-token --socket "$D/token.sock" --state "$D/token.state" \
  --pin 123456 --touch auto

explain 'The daemon holds the vault and every secret. It never speaks to the network.'
cat >"$D/rootseald.toml" <<TOML
[tokens]
hid_sockets = ["$D/token.sock"]
[aws]
allowed_endpoints = ["$aws_url"]
TOML
start daemon rootseald --config "$D/rootseald.toml" --data-dir "$D/data" \
  --listen "unix:path=$D/bus"
show export "ROOTSEAL_ADDRESS=unix:path=$D/bus" "AWS_ENDPOINT_URL_STS=$aws_url"
export ROOTSEAL_ADDRESS=unix:path=$D/bus AWS_ENDPOINT_URL_STS=$aws_url

explain 'A new vault. From now on only this token, with its PIN and a touch, opens it.'
run rootseal --pin-file "$D/pin" init --label 'demo key'

explain 'Tell it about the account, then put the key and the MFA seed in. After this the files could go.'
run rootseal account add prod --account-id 111122223333 --email root@example.com
run rootseal --pin-file "$D/pin" key import prod "$D/rootkey.csv"
run rootseal --pin-file "$D/pin" totp add prod --uri-file "$D/uri"

explain 'A profile says what a program may get: here a session of one hour, never the key itself.'
run rootseal profile add prod-root --account prod --duration 3600

explain 'A six-digit code, when a sign-in page asks for one.'
run rootseal --pin-file "$D/pin" totp code prod

explain 'A session. AWS takes a code once, and one has just been given out: so this waits for the next
one, half a minute at most. Then one touch pays for the whole hour.'
run rootseal --pin-file "$D/pin" credentials prod-root

explain 'Asked again, the daemon answers from locked memory: no touch, no PIN, and no word to AWS, which
has seen this many requests for a session:'
run rootseal credentials prod-root
show grep -c GetSessionToken "$D/aws.requests"
asked=$(grep -c GetSessionToken "$D/aws.requests")
printf '%s\n' "$asked"
[[ $asked == 1 ]]

explain 'Two lines for the AWS configuration, and the ordinary aws command is signed in as root.'
show rootseal aws-config prod-root '>>' "$D/aws-config"
rootseal aws-config prod-root >>"$D/aws-config"
show cat "$D/aws-config"
cat "$D/aws-config"
show "AWS_CONFIG_FILE=$D/aws-config" aws --endpoint-url "$aws_url" sts get-caller-identity \
  --profile prod-root
AWS_CONFIG_FILE=$D/aws-config aws --endpoint-url "$aws_url" sts get-caller-identity \
  --profile prod-root

explain 'The state, for people and for scripts; then lock. Locking wipes the sessions, too.'
run rootseal status --json
run rootseal lock

explain 'Locked, and nobody there to type a PIN (no terminal, no agent): a program gets nothing.'
show setsid rootseal credentials prod-root '</dev/null'
status=0
setsid --wait rootseal credentials prod-root </dev/null || status=$?
printf 'exit code %s\n' "$status"
[[ $status == 4 ]]

explain 'That was all of it: the key went in once, and only sessions came out. Cleaning up.'
