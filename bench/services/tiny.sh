# Says "PID PORT" on the pipe before anything else, then becomes a small web server: FIFO PORT PYTHON
echo "$$ $2" >"$1"
exec "$3" -I -S "${0%/*}/tiny_http.py" "$2"
