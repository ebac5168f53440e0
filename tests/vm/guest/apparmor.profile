# All is allowed but reading one file and making another: what the tests look for.
profile casco-test flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  mount,
  umount,
  pivot_root,
  signal,
  ptrace,
  unix,
  deny /tmp/secret rw,
}
