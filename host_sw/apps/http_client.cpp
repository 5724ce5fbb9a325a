#include "host_sw/apps/http_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>

namespace understudy::host {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t piece = 64 * 1024;
constexpr std::size_t turn_bytes = 128 * 1024;  // then others have their turn
constexpr std::uint32_t longest_header = 16 * 1024;

// The whole of `s` as a number up to `most`.
std::optional<std::uint32_t> number(std::string_view s, std::uint32_t most) {
  std::uint32_t v = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (error != std::errc() || end != s.data() + s.size() || v > most) return std::nullopt;
  return v;
}

// "A.B.C.D" or an IPv6 address in brackets.
std::optional<socket_address> server_of(std::string_view text) {
  const bool v6 = text.size() > 2 && text.front() == '[' && text.back() == ']';
  const std::string ip(v6 ? text.substr(1, text.size() - 2) : text);
  socket_address a;
  if (v6) return inet_pton(AF_INET6, ip.c_str(), a.ip) == 1 ? std::optional(a) : std::nullopt;
  in_addr four;
  if (inet_pton(AF_INET, ip.c_str(), &four) != 1) return std::nullopt;
  return ipv4_address(ntohl(four.s_addr), 0);
}

}  // namespace

std::optional<http_url> parse_http_url(std::string_view text) {
  constexpr std::string_view scheme = "http://";
  if (text.substr(0, scheme.size()) != scheme) return std::nullopt;
  text.remove_prefix(scheme.size());
  for (const char c : text)
    if (c <= ' ' || c > '~') return std::nullopt;
  const std::size_t slash = std::min(text.find_first_of("/?#"), text.size());
  const std::string_view authority = text.substr(0, slash);
  const std::size_t bracket = authority.rfind(']');  // colons before it are the address's
  const std::size_t colon =
      std::min(authority.find(':', bracket == authority.npos ? 0 : bracket), authority.size());
  auto server = server_of(authority.substr(0, colon));
  const auto port = colon == authority.size() ? std::optional<std::uint32_t>(80)
                                              : number(authority.substr(colon + 1), 65535);
  if (!server || !port || *port == 0) return std::nullopt;
  http_url u;
  server->port = static_cast<std::uint16_t>(*port);
  u.server = *server;
  u.authority = authority;
  const std::string_view target = text.substr(slash, text.find('#') - slash);
  if (target.empty() || target[0] != '/') u.target.push_back('/');
  u.target.append(target);
  return u;
}

struct http_client::transfer {
  int fd = -1;
  int file = -1;
  std::string request;  // waits to be sent, from sent on
  std::size_t sent = 0;
  http::response_parser<http::buffer_body> parser;
  std::vector<char> in;  // read and not parsed
  bool header_seen = false;
  ~transfer() {
    if (file >= 0) ::close(file);
  }
};

http_client::http_client(reactor& r) : reactor_(r) {}

http_client::~http_client() {
  if (transfer_) reactor_.watch(transfer_->fd, nullptr);
}

bool http_client::get(const std::string& url, const std::string& file) {
  if (!parse_http_url(url)) return false;
  http_fetch f;
  f.url = url;
  f.file = file;
  fetches_.push_back(std::move(f));
  if (!transfer_) next();
  return true;
}

void http_client::abort_all() {
  if (transfer_) reactor_.net().abort(transfer_->fd);
  while (at_ < fetches_.size()) {
    fetches_[at_].done = true;
    fetches_[at_++].error = "not finished";
  }
  if (!transfer_) return;
  reactor_.watch(transfer_->fd, nullptr);
  reactor_.net().close(transfer_->fd);
  transfer_.reset();
}

// Begin the fetch at_, or one behind it if it cannot begin.
void http_client::next() {
  for (; at_ < fetches_.size(); ++at_) {
    http_fetch& f = fetches_[at_];
    const http_url u = *parse_http_url(f.url);
    auto t = std::make_unique<transfer>();
    t->parser.header_limit(longest_header);
    t->parser.body_limit(std::numeric_limits<std::uint64_t>::max());  // 1.74 takes none for 0
    t->request = "GET " + u.target + " HTTP/1.1\r\nHost: " + u.authority +
                 "\r\nUser-Agent: understudy\r\nConnection: close\r\n\r\n";
    t->file = ::open(f.file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (t->file < 0) {
      f.done = true;
      f.error = f.file + ": " + std::strerror(errno);
      continue;
    }
    t->fd = reactor_.net().socket();
    const int e = t->fd < 0 ? t->fd : reactor_.net().connect(t->fd, u.server);
    if (e != -EINPROGRESS) {
      if (t->fd >= 0) reactor_.net().close(t->fd);
      f.done = true;
      f.error = std::strerror(-e);
      continue;
    }
    reactor_.watch(t->fd, this);
    transfer_ = std::move(t);
    return;
  }
}

void http_client::on_events(int fd, unsigned events) {
  if (!transfer_ || transfer_->fd != fd) return;
  if (events & ev_error) {
    int error = 0;
    reactor_.net().getsockopt(fd, socket_option::error, &error);
    return end(std::strerror(error));
  }
  if (send_request(*transfer_) && receive(*transfer_)) reactor_.again(fd, ev_readable);
}

bool http_client::send_request(transfer& t) {
  while (t.sent < t.request.size()) {
    const auto n = reactor_.net().send(t.fd, t.request.data() + t.sent, t.request.size() - t.sent);
    if (n <= 0) return false;
    t.sent += static_cast<std::size_t>(n);
  }
  return true;
}

bool http_client::receive(transfer& t) {
  http_fetch& f = fetches_[at_];
  static std::array<char, piece> room;
  static std::array<char, piece> body;
  for (std::size_t done = 0; done < turn_bytes;) {
    const auto n = reactor_.net().recv(t.fd, room.data(), room.size());
    if (n < 0) return false;
    boost::beast::error_code e;
    if (n == 0) {
      t.parser.put_eof(e);
      end(e || !t.parser.is_done() ? "the answer ends too early" : "");
      return false;
    }
    done += static_cast<std::size_t>(n);
    t.in.insert(t.in.end(), room.begin(), room.begin() + n);
    std::size_t used = 0;
    while (!t.parser.is_done() && used < t.in.size()) {
      if (t.header_seen) {
        t.parser.get().body().data = body.data();
        t.parser.get().body().size = body.size();
      }
      const std::size_t took = t.parser.put(boost::asio::buffer(t.in.data() + used, t.in.size() - used), e);
      used += took;
      if (e && e != http::error::need_more && e != http::error::need_buffer) {
        end(std::string("the answer is not HTTP/1.1: ").append(e.message()));
        return false;
      }
      if (t.header_seen) {
        const std::size_t got = body.size() - t.parser.get().body().size;
        if (::write(t.file, body.data(), got) != static_cast<ssize_t>(got)) {
          end(f.file + ": " + std::strerror(errno));
          return false;
        }
        f.bytes += got;
      } else if (t.parser.is_header_done()) {
        t.header_seen = true;
        f.status = t.parser.get().result_int();
        continue;
      }
      if (took == 0) break;
    }
    t.in.erase(t.in.begin(), t.in.begin() + static_cast<std::ptrdiff_t>(used));
    if (t.parser.is_done()) {
      end("");
      return false;
    }
  }
  return true;
}

void http_client::end(std::string error) {
  fetches_[at_].error = std::move(error);
  fetches_[at_].done = true;
  ++at_;
  reactor_.watch(transfer_->fd, nullptr);
  reactor_.net().close(transfer_->fd);
  transfer_.reset();
  next();
}

}  // namespace understudy::host
