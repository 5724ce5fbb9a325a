// An HTTP/1.1 client (RFC 9110, 9112): GET into files, one after the other, each over a connection of its
// own.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host_sw/apps/reactor.h"

namespace understudy::host {

struct http_url {
  socket_address server;
  std::string authority;  // for the Host field
  std::string target;     // path and query, "/" at least
};
// "http://HOST[:PORT][/PATH]", HOST an IPv4 address or an IPv6 address in brackets; port 80 by default. Names
// are not resolved.
std::optional<http_url> parse_http_url(std::string_view text);

struct http_fetch {
  std::string url;
  std::string file;  // where the body goes
  bool done = false;
  unsigned status = 0;      // of the answer; 0: there was none
  std::uint64_t bytes = 0;  // of its body
  std::string error;        // what went wrong on the way; empty: nothing
  bool good() const { return done && error.empty() && status / 100 == 2; }
};

class http_client : private socket_user {
 public:
  explicit http_client(reactor& r);
  ~http_client() override;
  // Fetch `url` into `file` after what was asked for before. False: it is no URL that this client takes.
  bool get(const std::string& url, const std::string& file);
  // Reset what is under way and forget the rest.
  void abort_all();
  // In the order of get().
  const std::vector<http_fetch>& fetches() const { return fetches_; }

 private:
  struct transfer;
  void on_events(int fd, unsigned events) override;
  void next();
  // False: nothing more is to be done for now.
  bool send_request(transfer& t);
  bool receive(transfer& t);
  void end(std::string error);

  reactor& reactor_;
  std::vector<http_fetch> fetches_;
  std::size_t at_ = 0;  // of the one under way
  std::unique_ptr<transfer> transfer_;
};

}  // namespace understudy::host
