/* Echo through an embedded platform: bytes go out over the adapter's sockets and come back from lwIP, and the
 * adapter dies half-way. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <understudy/embed.h>

enum { total = 200000 };

static unsigned char byte_at(size_t n) { return (unsigned char)(n * 31 + n / 251); }

static int give_up(const char *what) {
  fprintf(stderr, "%s: %s\n", what, understudy_message());
  return 1;
}

int main(int argc, char **argv) {
  const char *overrides[] = {"embed.peer=lwip", "topology.adapters=2"};
  understudy_platform *u = understudy_create(argc > 1 ? argv[1] : NULL, overrides, 2);
  if (!u) return give_up("create");

  understudy_station peer;
  if (understudy_peer(u, &peer) != 0) return give_up("peer");
  understudy_address to;
  memset(&to, 0, sizeof to);
  memcpy(to.ip, peer.ip, sizeof to.ip);
  to.port = 7;
  const int fd = understudy_socket(u);
  if (understudy_connect(u, fd, &to) != -1 || understudy_errno() != EINPROGRESS) return give_up("connect");

  size_t sent = 0, got = 0, wrong = 0;
  int killed = 0, shut = 0, at_end = 0;
  while (!at_end) {
    const int64_t deadline = understudy_now(u) + (int64_t)20 * 1000 * 1000 * 1000 * 1000;
    if (understudy_wait(u, deadline, UNDERSTUDY_WAKE_SOCKET) == 0) return give_up("nothing happens");
    if (understudy_poll(u, fd) & UNDERSTUDY_ERROR) return give_up("the connection failed");
    unsigned char part[4096];
    ptrdiff_t n;
    while ((n = understudy_read(u, fd, part, sizeof part)) > 0)
      for (ptrdiff_t i = 0; i < n; ++i) wrong += part[i] != byte_at(got++);
    if (n == 0) at_end = 1;
    if (n < 0 && understudy_errno() != EAGAIN) return give_up("read");
    while (sent < total) {
      size_t want = total - sent < sizeof part ? total - sent : sizeof part;
      for (size_t i = 0; i < want; ++i) part[i] = byte_at(sent + i);
      n = understudy_write(u, fd, part, want);
      if (n < 0 && understudy_errno() != EAGAIN) return give_up("write");
      if (n <= 0) break;
      sent += (size_t)n;
    }
    if (sent == total && !shut) {
      if (understudy_shutdown(u, fd, UNDERSTUDY_SHUT_WR) != 0) return give_up("shutdown");
      shut = 1;
    }
    if (got >= total / 2 && !killed) {
      killed = 1;
      printf("adapter %c dies at %.3f ms, %zu of %d bytes are back\n", 'A' + understudy_kill(u, -1),
             (double)understudy_now(u) / 1e9, got, total);
    }
  }
  understudy_close(u, fd);
  const int64_t violations = understudy_violations(u);
  printf("%zu bytes came back by %.3f ms, %zu wrong; adapter %c serves; %d violations\n", got,
         (double)understudy_now(u) / 1e9, wrong, 'A' + understudy_active(u), (int)violations);
  understudy_destroy(u);
  const int held = got == total && wrong == 0 && killed && violations == 0;
  printf("verdict: %s\n", held ? "the program noticed nothing" : "something did not hold");
  return held ? 0 : 1;
}
