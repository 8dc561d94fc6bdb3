#!/usr/bin/env bash
# Builds the images, brings docker-compose.yml up, publishes with ffmpeg, plays at both origins, meanwhile stops a server
# and an origin and kills the server that has the stream, plays the recording from the store, and takes everything down
# again, whatever happens; the images stay. Exits with 0 when all went well.
#   DOCKER_BUILD_FLAGS   options for `docker compose build`, such as "--build-arg https_proxy=http://10.0.0.1:3128"
#   RTMP_PORT, HTTP_PORT, HTTP_PORT_2, CONTROL_PORT   ports of this machine; free ones are taken unless they are set
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

PROJECT=headwater-compose-test
STREAM=compose-test
export RTMP_PORT=${RTMP_PORT:-0} HTTP_PORT=${HTTP_PORT:-0} HTTP_PORT_2=${HTTP_PORT_2:-0} CONTROL_PORT=${CONTROL_PORT:-0}
export DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
# What the caller's shell has set does not change what is tested. The end of a broadcast is not worth a minute.
for name in "${!HEADWATER_@}"; do unset "$name"; done
export HEADWATER_SERVER_RECONNECT_WINDOW=5s
export HEADWATER_CONTROL_TOKEN=the-token-of-this-test

started=$SECONDS
work=$(mktemp -d)
publisher=

main() {
  need docker ffmpeg ffprobe curl
  docker info >/dev/null 2>&1 || fail "no Docker engine answers: is it running, and may you use it?"
  find_compose
  trap 'exit 130' INT TERM
  trap finish EXIT

  say "building the images"
  # shellcheck disable=SC2086 # several options
  compose build ${DOCKER_BUILD_FLAGS:-}
  say "starting redis, a store, a proxy, two servers, two origins"
  compose up -d
  for service in redis store server-1 server-2 proxy origin-1 origin-2; do
    wait_until 60 "$service is ready" healthy "$service"
  done
  origins=("$(address origin-1 8080)" "$(address origin-2 8080)")

  publish "rtmp://$(address proxy 1935)/live/$STREAM"
  for origin in "${origins[@]}"; do wait_until 30 "the stream is live at $origin" live "$origin"; done
  for origin in "${origins[@]}"; do plays "$origin"; done
  same_segment
  picture "http://${origins[1]}/$STREAM/thumbnail.jpg"

  idle=$(other_server "$(owner)")
  say "stopping $idle, which does not have the stream"
  stop "$idle"
  for origin in "${origins[@]}"; do plays "$origin"; done
  say "starting $idle again"
  compose start "$idle"
  wait_until 60 "$idle is ready" healthy "$idle"

  lost=$(owner)
  say "killing $lost, which has the stream"
  docker kill "$(container "$lost")" >/dev/null
  for origin in "${origins[@]}"; do plays "$origin"; done
  for origin in "${origins[@]}"; do without_a_gap "$origin"; done
  same_segment
  [ "$(owner)" = "$(other_server "$lost")" ] || fail "$lost was killed and has the stream"
  say "starting $lost again"
  compose start "$lost"
  wait_until 60 "$lost is ready" healthy "$lost"

  say "stopping origin-2"
  stop origin-2
  plays "${origins[0]}"
  say "starting origin-2 again"
  compose start origin-2
  wait_until 60 "origin-2 is ready" healthy origin-2
  origins[1]=$(address origin-2 8080)
  wait_until 30 "the stream is live at ${origins[1]}" live "${origins[1]}"
  plays "${origins[1]}"
  same_segment

  say "stopping the publisher"
  kill -INT "$publisher"
  wait "$publisher" || true
  publisher=
  for origin in "${origins[@]}"; do wait_until 90 "the stream has ended at $origin" ended "$origin"; done
  control=$(address origin-1 8081)/api/v1/streams/$STREAM/recordings
  wait_until 60 "the recording is complete" recorded

  say "stopping what made the recording; the store has it now"
  for service in proxy server-1 server-2; do stop "$service"; done
  plays_recording "${origins[1]}"
  deletes_recording
  for service in origin-1 origin-2 store; do stop "$service"; done
}

# --- What is looked at.

# A picture with a counter and a beep, in real time; 854x480 makes two renditions and leaves the machine some air.
publish() {
  say "publishing to $1"
  ffmpeg -nostdin -v warning -re -f lavfi -i testsrc2=size=854x480:rate=30 \
    -f lavfi -i sine=frequency=440:beep_factor=4:sample_rate=48000 \
    -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 60 -b:v 1500k -c:a aac -b:a 128k \
    -progress "$work/published" -f flv "$1" >"$work/ffmpeg.log" 2>&1 &
  publisher=$!
}

# Every playlist of the stream grows by two segments, and what they list decodes.
plays() {
  local url urls
  local -A before
  urls=$(renditions "$1")
  [ "$(wc -l <<<"$urls")" -ge 3 ] || fail "$1 offers fewer than two renditions and the sound: $urls"
  for url in $urls; do before[$url]=$(newest "$url"); done
  for url in $urls; do
    wait_until 15 "$url goes on from segment ${before[$url]}" reached "$url" $((before[$url] + 2))
  done
  decodes "$1"
}

# The addresses of all media playlists that a multivariant playlist names.
renditions() {
  local playlist
  playlist=$(get "http://$1/$STREAM/live.m3u8")
  { grep -v '^#' <<<"$playlist"; sed -n 's/^#EXT-X-MEDIA:.*URI="\([^"]*\)".*/\1/p' <<<"$playlist"; } |
    sed "/^\$/d; s|^|http://$1/$STREAM/|"
}

# The number of the newest whole segment of a media playlist.
newest() {
  get "$1" | awk -F: '/^#EXT-X-MEDIA-SEQUENCE:/ { first = $2 } /^#EXTINF:/ { count++ } END { print first + count - 1 }'
}

reached() { [ "$(newest "$1")" -ge "$2" ]; }

decodes() {
  local url="http://$1/$STREAM/live.m3u8" kinds frames
  kinds=$(ffprobe -v error -show_entries stream=codec_name -of csv=p=0 "$url" | sort -u | xargs)
  [ "$kinds" = "aac h264" ] || fail "$url holds '$kinds' instead of H.264 and AAC"
  frames=$(frames "$url" -map 0 -t 6)
  [ "$frames" -ge 170 ] || fail "$url gave $frames frames in 6 s instead of 180"
  say "$url: $kinds, $frames frames decoded"
}

# frames URL OPTION...: how many frames there are, decoded without a fault. Counted in 30ths of a second, as ffmpeg would, two
# frames have the same time where the first one's lies between two of them: RTMP tells milliseconds.
frames() {
  local url=$1 count
  shift
  count=$(ffmpeg -nostdin -v error -xerror -i "$url" "$@" -enc_time_base:v 1:90000 -f null -progress - - 2>"$work/decode.log" |
    sed -n 's/^frame=//p' | tail -n 1) || fail "$url does not decode: $(cat "$work/decode.log")"
  [ ! -s "$work/decode.log" ] || fail "$url does not decode without a fault: $(cat "$work/decode.log")"
  echo "$count"
}

# A JPEG of 360 lines.
picture() {
  local found
  get "$1" >"$work/picture.jpg"
  found=$(ffprobe -v error -show_entries stream=codec_name,height -of csv=p=0 "$work/picture.jpg")
  [ "$found" = "mjpeg,360" ] || fail "$1 is '$found' instead of a JPEG of 360 lines"
  say "$1 is a picture"
}

# Nothing is missing in any playlist, and nobody had to begin anew.
without_a_gap() {
  local url playlist
  for url in $(renditions "$1"); do
    playlist=$(get "$url")
    ! grep -qE '^#EXT-X-(GAP|DISCONTINUITY)$' <<<"$playlist" || fail "$url has a gap: $playlist"
  done
  say "http://$1/$STREAM goes on without a gap"
}

# The only recording of the stream is complete, says the control API.
recorded() { authorised "$control" | grep -q '"state":"complete"'; }

# The recording has every frame that was sent, in every form in which it is offered.
plays_recording() {
  local sent id url count
  sent=$(sed -n 's/^frame=//p' "$work/published" | tail -n 1)
  id=$(authorised "$control" | sed -n 's/.*"broadcast":"\([^"]*\)".*/\1/p')
  for url in "http://$1/$STREAM/vod-$id".{m3u8,mpd,mp4}; do
    count=$(frames "$url" -map 0:v:0 -map 0:a:0)
    [ "$count" -eq "$sent" ] || fail "$url has $count frames of $sent that were sent"
    say "$url: all $count frames"
  done
  picture "http://$1/$STREAM/$id/thumbnail.jpg"
  picture "http://$1/$STREAM/$id/thumbnail.jpg?time=-5"
}

deletes_recording() {
  local id
  id=$(authorised "$control" | sed -n 's/.*"broadcast":"\([^"]*\)".*/\1/p')
  [ "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE "$control/$id")" = 401 ] || fail "anybody may delete a recording"
  authorised -X DELETE "$control/$id"
  authorised "$control" | grep -q '"recordings":\[\]' || fail "the recording is there after it was deleted"
  say "the recording is deleted"
}

# A segment is the same one, byte for byte, wherever it is fetched.
same_segment() {
  local name file
  name=$(renditions "${origins[0]}" | head -n 1)
  name=${name#http://*/}
  file=$(get "http://${origins[0]}/$name" | grep -v '^#' | tail -n 2 | head -n 1)
  name=${name%/index.m3u8}/$file
  get "http://${origins[0]}/$name" >"$work/one"
  get "http://${origins[1]}/$name" >"$work/other"
  cmp "$work/one" "$work/other" || fail "/$name differs between the origins"
  say "/$name is the same at both origins"
}

live() { get "http://$1/$STREAM/live.m3u8" >/dev/null; }

# The playlists say so, or the stream is gone altogether.
ended() {
  local url
  ! live "$1" 2>/dev/null && return
  url=$(renditions "$1" | head -n 1)
  get "$url" | grep -q '^#EXT-X-ENDLIST'
}

# The server with a worker.
owner() {
  local service owners=()
  for service in server-1 server-2; do
    if docker top "$(container "$service")" 2>/dev/null | grep -q ' worker$'; then owners+=("$service"); fi
  done
  [ ${#owners[@]} -eq 1 ] || fail "one server should have a worker, but it is: ${owners[*]:-none}"
  echo "${owners[0]}"
}

other_server() { [ "$1" = server-1 ] && echo server-2 || echo server-1; }

# Stops a service, which has to end by itself, soon and without an error.
stop() {
  local id from=$SECONDS code
  id=$(container "$1")
  compose stop "$1" >/dev/null 2>&1
  code=$(docker inspect -f '{{.State.ExitCode}}' "$id")
  [ "$code" -eq 0 ] || fail "$1 exited with $code when it was told to stop"
  say "$1 stopped within $((SECONDS - from + 1)) s"
}

# --- How it is done.

say() { printf 'compose-test %4d s  %s\n' $((SECONDS - started)) "$*"; }

fail() {
  printf 'compose-test FAILED: %s\n' "$*" >&2
  exit 1
}

need() {
  for tool in "$@"; do command -v "$tool" >/dev/null || fail "$tool is missing on this machine"; done
}

find_compose() {
  if docker compose version >/dev/null 2>&1; then
    composer=(docker compose)
  elif command -v docker-compose >/dev/null; then
    composer=(docker-compose)
  else
    fail "neither 'docker compose' nor docker-compose is installed"
  fi
}

compose() { "${composer[@]}" -p "$PROJECT" "$@"; }

# The container of a service, stopped ones too.
container() {
  local label=label=com.docker.compose
  docker ps -aq --filter "$label.project=$PROJECT" --filter "$label.service=$1"
}

healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(container "$1")")" = healthy ]; }

# Where a port of a service is reached from here.
address() {
  local published
  published=$(compose port "$1" "$2")
  echo "127.0.0.1:${published##*:}"
}

get() { curl -fsS --max-time 10 "$1"; }

# A request to the control API.
authorised() { curl -fsS --max-time 10 -H "Authorization: Bearer $HEADWATER_CONTROL_TOKEN" "$@"; }

# wait_until SECONDS WHAT COMMAND...
wait_until() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" 2>"$work/why"; do
    [ "$SECONDS" -lt "$end" ] || fail "waited in vain until $what $(cat "$work/why")"
    if [ -n "$publisher" ] && ! kill -0 "$publisher" 2>/dev/null; then fail "ffmpeg ended by itself"; fi
    sleep 0.5
  done
  say "$what"
}

finish() {
  local code=$?
  trap - EXIT INT TERM
  [ -z "$publisher" ] || kill "$publisher" 2>/dev/null || true
  if [ "$code" -ne 0 ]; then
    echo "--- ffmpeg" >&2
    tail -n 10 "$work/ffmpeg.log" >&2 2>/dev/null || true
    compose ps >&2 || true
    compose logs --no-color --tail=40 >&2 || true
  fi
  say "taking everything down"
  compose down -t 10 -v --remove-orphans >"$work/down.log" 2>&1 || { cat "$work/down.log" >&2; code=1; }
  rm -rf "$work"
  [ "$code" -eq 0 ] && say "passed"
  exit "$code"
}

main "$@"
