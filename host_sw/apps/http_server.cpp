#include "host_sw/apps/http_server.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <optional>
#include <sstream>
#include <vector>

#include "host_sw/apps/http_request.h"

namespace understudy::host {
namespace {

namespace fs = std::filesystem;
namespace http = boost::beast::http;

constexpr std::size_t piece = 64 * 1024;
constexpr std::size_t turn_bytes = 128 * 1024;  // then others have their turn
constexpr std::uint32_t longest_header = 16 * 1024;

// Sessions run one after the other: one room serves all, and one for the part of a body that is read of it.
std::array<char, piece> room;
std::array<char, piece> body_room;

class file {
 public:
  file() = default;
  file(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  file(file&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  file& operator=(file o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~file() {
    if (fd_ >= 0) ::close(fd_);
  }
  // A new one, to write to, with the rights that open() would give it. `path` ends in XXXXXX, which becomes
  // what no other has.
  static file temporary(std::string& path) {
    file f;
    f.fd_ = ::mkostemp(path.data(), O_CLOEXEC);
    const mode_t withheld = ::umask(022);
    ::umask(withheld);
    if (f) ::fchmod(f.fd_, 0644 & ~withheld);
    return f;
  }
  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

// What tells the client why a file could not be put where it wanted it: the folder is missing, or is none, or
// there is a folder where the file should be (409, as RFC 4918 9.7.1 has it), no room, or no right.
http::status why_not_put(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
      return http::status::conflict;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return http::status::insufficient_storage;
    case EACCES:
    case EPERM:
    case EROFS:
      return http::status::forbidden;
    default:
      return http::status::internal_server_error;
  }
}

class http_session : public session {
 public:
  http_session(const std::string& root, http_counters& count) : root_(root), count_(count) {}
  ~http_session() override { forget_upload(); }
  next work(sockets& net, int fd) override;

 private:
  using parser = http::request_parser<http::buffer_body>;

  enum class sent : std::uint8_t { all, blocked, turn_over };
  enum class expectation : std::uint8_t { none, go_on, unknown };
  sent send_waiting(sockets& net, int fd);
  bool feed();
  void header_done();
  expectation expected() const;
  bool body_part(const char* data, std::size_t bytes);
  void request_done();
  void get();
  void list(const fs::path& folder, const std::string& path);
  int open_upload(const std::string& path);
  void forget_upload();
  void answer(http::status s, std::string_view type, std::string_view body, std::uint64_t body_length,
              std::string_view more = {});
  void refuse(http::status s, bool close);

  const std::string& root_;
  http_counters& count_;
  std::optional<parser> request_;
  std::vector<char> in_;  // read and not parsed
  bool at_end_ = false;   // the peer says no more
  bool close_ = false;    // after what waits to be sent
  bool header_seen_ = false;
  std::uint64_t body_bytes_ = 0;
  std::string out_;  // waits to be sent, from out_from_ on; then the file
  std::size_t out_from_ = 0;
  file source_;
  std::uint64_t source_at_ = 0;
  std::uint64_t source_left_ = 0;
  std::string upload_path_;
  std::string upload_part_;  // beside it, until all has come; empty: no upload
  file upload_;
};

session::next http_session::work(sockets& net, int fd) {
  for (std::size_t done = 0; done < turn_bytes;) {
    switch (send_waiting(net, fd)) {
      case sent::blocked:
        return next::wait;
      case sent::turn_over:
        return next::again;
      case sent::all:
        break;
    }
    if (close_) return next::finish;
    if (feed()) continue;
    if (at_end_) return next::finish;
    const auto n = net.recv(fd, room.data(), room.size());
    if (n < 0) return next::wait;
    if (n == 0) at_end_ = true;
    in_.insert(in_.end(), room.begin(), room.begin() + n);
    done += static_cast<std::size_t>(n);
  }
  return next::again;
}

http_session::sent http_session::send_waiting(sockets& net, int fd) {
  while (out_from_ < out_.size()) {
    const auto n = net.send(fd, out_.data() + out_from_, out_.size() - out_from_);
    if (n <= 0) return sent::blocked;
    out_from_ += static_cast<std::size_t>(n);
  }
  out_.clear();
  out_from_ = 0;
  for (std::size_t done = 0; source_left_ > 0;) {
    if (done >= turn_bytes) return sent::turn_over;
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(source_left_, room.size()));
    const auto got = ::pread(source_.fd(), room.data(), wanted, static_cast<off_t>(source_at_));
    if (got <= 0) {  // the file has become shorter: only closing tells the client
      source_left_ = 0;
      close_ = true;
      break;
    }
    const auto n = net.send(fd, room.data(), static_cast<std::size_t>(got));
    if (n <= 0) return sent::blocked;
    source_at_ += static_cast<std::uint64_t>(n);
    source_left_ -= static_cast<std::uint64_t>(n);
    done += static_cast<std::size_t>(n);
  }
  source_ = file();
  return sent::all;
}

// Parse what was read. False: more must be read first.
bool http_session::feed() {
  if (in_.empty()) return false;
  if (!request_) {
    request_.emplace();
    request_->header_limit(longest_header);
    request_->body_limit(std::numeric_limits<std::uint64_t>::max());  // 1.74 takes none for 0
    header_seen_ = false;
    body_bytes_ = 0;
  }
  bool progress = false;
  std::size_t used = 0;
  while (!request_->is_done() && used < in_.size()) {
    if (header_seen_) {
      request_->get().body().data = body_room.data();
      request_->get().body().size = body_room.size();
    }
    boost::beast::error_code e;
    const std::size_t n = request_->put(boost::asio::buffer(in_.data() + used, in_.size() - used), e);
    used += n;
    if (e && e != http::error::need_more && e != http::error::need_buffer) {
      in_.clear();
      refuse(e == http::error::header_limit ? http::status::request_header_fields_too_large
                                            : http::status::bad_request,
             true);
      return true;
    }
    if (header_seen_ && !body_part(body_room.data(), body_room.size() - request_->get().body().size)) {
      in_.clear();
      return true;
    }
    if (!header_seen_ && request_->is_header_done()) {
      header_seen_ = true;
      header_done();
      progress = true;
      if (close_) {
        in_.clear();
        return true;
      }
      continue;
    }
    if (n == 0) break;
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(used));
  if (request_->is_done()) {
    request_done();
    return true;
  }
  return progress && !out_.empty();
}

void http_session::header_done() {
  ++count_.requests;
  const auto& m = request_->get();
  const expectation wanted = expected();
  if (wanted == expectation::unknown) return refuse(http::status::expectation_failed, true);
  if (m.method() == http::verb::put) {
    const auto path = path_of_target({m.target().data(), m.target().size()});
    if (!path || path->empty() || path->back() == '/') return refuse(http::status::bad_request, true);
    if (root_.empty()) return refuse(http::status::forbidden, true);
    if (const int error = open_upload(*path)) return refuse(why_not_put(error), true);
  }
  if (wanted == expectation::go_on) out_ += "HTTP/1.1 100 Continue\r\n\r\n";
}

// RFC 9110 10.1.1. A client of HTTP/1.0 expects nothing, and one that sends no body does not wait.
http_session::expectation http_session::expected() const {
  const auto& m = request_->get();
  if (m.version() < 11) return expectation::none;
  const auto [first, last] = m.equal_range(http::field::expect);
  for (auto it = first; it != last; ++it)
    if (!boost::beast::iequals(it->value(), "100-continue")) return expectation::unknown;
  return first == last || request_->is_done() ? expectation::none : expectation::go_on;
}

// False: the request was refused.
bool http_session::body_part(const char* data, std::size_t bytes) {
  body_bytes_ += bytes;
  while (upload_ && bytes > 0) {
    const auto n = ::write(upload_.fd(), data, bytes);
    if (n <= 0) {
      refuse(why_not_put(n < 0 ? errno : ENOSPC), true);
      return false;
    }
    data += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

void http_session::request_done() {
  const auto& m = request_->get();
  close_ = !m.keep_alive();
  switch (m.method()) {
    case http::verb::get:
    case http::verb::head:
      get();
      break;
    case http::verb::put: {
      upload_ = file();
      const int error = ::rename(upload_part_.c_str(), upload_path_.c_str()) == 0 ? 0 : errno;
      if (error == 0) upload_part_.clear();
      forget_upload();
      if (error == 0)
        answer(http::status::created, "text/plain", "", 0);
      else
        refuse(why_not_put(error), close_);
      break;
    }
    case http::verb::post: {
      const std::string text = std::to_string(body_bytes_) + " bytes\n";
      answer(http::status::ok, "text/plain", text, text.size());
      break;
    }
    default:
      refuse(http::status::method_not_allowed, close_);
  }
  request_.reset();
}

void http_session::get() {
  const auto& m = request_->get();
  const auto path = path_of_target({m.target().data(), m.target().size()});
  if (!path) return refuse(http::status::bad_request, close_);
  if (root_.empty() && path->empty()) {
    const std::string text = "Understudy: app.root names no folder, so there are no files here.\n";
    return answer(http::status::ok, "text/plain", text, text.size());
  }
  if (root_.empty()) return refuse(http::status::not_found, close_);
  const fs::path full = fs::path(root_) / *path;
  file f(full.string(), O_RDONLY | O_NONBLOCK);
  struct stat s = {};
  if (!f || fstat(f.fd(), &s) != 0)
    return refuse(errno == EACCES ? http::status::forbidden : http::status::not_found, close_);
  if (S_ISDIR(s.st_mode)) return list(full, *path);
  if (!S_ISREG(s.st_mode)) return refuse(http::status::forbidden, close_);
  const auto size = static_cast<std::uint64_t>(s.st_size);
  const std::string tag = "\"" + std::to_string(size) + "-" + std::to_string(s.st_mtim.tv_sec) + "-" +
                          std::to_string(s.st_mtim.tv_nsec) + "\"";
  byte_range r{byte_range::kind::whole, 0, size};
  const auto wanted = m[http::field::range];
  const auto condition = m[http::field::if_range];
  if (m.method() == http::verb::get && (condition.empty() || condition == tag))
    r = range_of({wanted.data(), wanted.size()}, size);
  std::string more = "ETag: " + tag + "\r\nAccept-Ranges: bytes\r\n";
  if (r.what == byte_range::kind::unsatisfiable) {
    ++count_.errors;
    return answer(http::status::range_not_satisfiable, "text/plain", "", 0,
                  "Content-Range: bytes */" + std::to_string(size) + "\r\n");
  }
  if (r.what == byte_range::kind::part)
    more += "Content-Range: bytes " + std::to_string(r.first) + "-" + std::to_string(r.first + r.length - 1) +
            "/" + std::to_string(size) + "\r\n";
  answer(r.what == byte_range::kind::part ? http::status::partial_content : http::status::ok,
         media_type(*path), "", r.length, more);
  if (m.method() == http::verb::head) return;
  source_ = std::move(f);
  source_at_ = r.first;
  source_left_ = r.length;
}

void http_session::list(const fs::path& folder, const std::string& path) {
  std::vector<std::string> names;
  std::error_code e;
  for (const auto& entry : fs::directory_iterator(folder, e)) {
    const std::string name = entry.path().filename().string();
    std::error_code none;
    if (name[0] != '.') names.push_back(name + (entry.is_directory(none) ? "/" : ""));
  }
  if (e) return refuse(http::status::forbidden, close_);
  std::sort(names.begin(), names.end());
  const std::string base = path.empty() || path.back() == '/' ? "" : path.substr(path.rfind('/') + 1) + "/";
  std::string text = "<!DOCTYPE html><meta charset=utf-8><title>/" + html_escaped(path) + "</title><pre>\n";
  for (const std::string& n : names) {
    const bool is_folder = n.back() == '/';
    const std::string link = percent_encoded(n.substr(0, n.size() - is_folder)) + (is_folder ? "/" : "");
    text += "<a href=\"";
    for (std::size_t at = 0; at < base.size();) {
      const std::size_t slash = base.find('/', at);
      text += percent_encoded(base.substr(at, slash - at)) + "/";
      at = slash + 1;
    }
    text += link + "\">" + html_escaped(n) + "</a>\n";
  }
  text += "</pre>\n";
  const std::uint64_t length = text.size();
  answer(http::status::ok, "text/html; charset=utf-8", text, length);
}

// 0, or why there can be none (errno).
int http_session::open_upload(const std::string& path) {
  const fs::path full = fs::path(root_) / path;
  upload_path_ = full.string();
  upload_part_ = (full.parent_path() / ".put-XXXXXX").string();
  upload_ = file::temporary(upload_part_);
  if (upload_) return 0;
  const int error = errno;
  upload_part_.clear();
  return error;
}

void http_session::forget_upload() {
  if (!upload_part_.empty()) ::unlink(upload_part_.c_str());
  upload_part_.clear();
  upload_ = file();
}

// `body` stays away from the answer to HEAD; `body_length` is what a GET would send.
void http_session::answer(http::status s, std::string_view type, std::string_view body,
                          std::uint64_t body_length, std::string_view more) {
  const bool head = request_ && request_->get().method() == http::verb::head;
  std::ostringstream h;
  h << "HTTP/1.1 " << static_cast<unsigned>(s) << ' ' << http::obsolete_reason(s)
    << "\r\nServer: understudy\r\nContent-Type: " << type << "\r\nContent-Length: " << body_length << "\r\n"
    << more << "Connection: " << (close_ ? "close" : "keep-alive") << "\r\n\r\n";
  out_ += h.str();
  if (!head) out_ += body;
}

void http_session::refuse(http::status s, bool close) {
  ++count_.errors;
  close_ = close;
  forget_upload();
  const std::string text = std::string(http::obsolete_reason(s)) + "\n";
  answer(s, "text/plain", text, text.size(),
         s == http::status::method_not_allowed ? "Allow: GET, HEAD, PUT, POST\r\n" : "");
}

}  // namespace

std::unique_ptr<session> make_http_session(const std::string& root, http_counters& count) {
  return std::make_unique<http_session>(root, count);
}

}  // namespace understudy::host
