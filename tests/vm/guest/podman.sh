. /casco/tests/podman.inc

test_podman_of_a_user_limits_stats_update_pause() {
	name=ours runtime=/casco/bin/runc
	life
}
