. /casco/tests/podman.inc

# What the peer can't do either would be said here, by its name: it can all.
test_podman_of_a_user_with_debians_runc() {
	name=theirs runtime=/usr/sbin/runc
	life
}
