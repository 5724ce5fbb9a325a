// Hand-made capture files for tests.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::tb::test {

using octets = std::vector<std::uint8_t>;

inline void put16(octets& o, std::uint32_t v) {
  o.push_back(static_cast<std::uint8_t>(v >> 8));
  o.push_back(static_cast<std::uint8_t>(v));
}
inline void put32(octets& o, std::uint32_t v) {
  put16(o, v >> 16);
  put16(o, v);
}
inline void append(octets& o, const octets& more) {
  o.insert(o.end(), more.begin(), more.end());
}

inline constexpr std::uint8_t fin = 1, syn = 2, rst = 4, ack = 16;

// One TCP segment between 10.0.0.1 (or fd00::1) and 10.0.0.2 (or fd00::2). Checksums are left unfinished (0).
struct segment {
  bool to_server = true;
  std::uint32_t seq = 0;
  std::uint8_t flags = ack;
  std::string_view text = {};
  std::uint32_t acked = 0;
  std::uint16_t client_port = 40000;
  std::uint16_t server_port = 80;
};

inline octets tcp_bytes(const segment& s) {
  octets o;
  put16(o, s.to_server ? s.client_port : s.server_port);
  put16(o, s.to_server ? s.server_port : s.client_port);
  put32(o, s.seq);
  put32(o, s.acked);
  o.push_back(0x50);
  o.push_back(s.flags);
  put16(o, 65535);
  put32(o, 0);
  o.insert(o.end(), s.text.begin(), s.text.end());
  return o;
}

inline octets ipv4_bytes(const segment& s, bool zero_length = false, std::uint16_t fragment = 0x4000) {
  const octets tcp = tcp_bytes(s);
  octets o{0x45, 0};
  put16(o, zero_length ? 0 : static_cast<std::uint32_t>(20 + tcp.size()));
  put16(o, 0);
  put16(o, fragment);
  o.push_back(64);
  o.push_back(6);
  put16(o, 0);
  put32(o, s.to_server ? 0x0a000001 : 0x0a000002);
  put32(o, s.to_server ? 0x0a000002 : 0x0a000001);
  append(o, tcp);
  return o;
}

// `extension`: with a destination options header in between.
inline octets ipv6_bytes(const segment& s, bool extension = false) {
  const octets tcp = tcp_bytes(s);
  octets o{0x60, 0, 0, 0};
  put16(o, static_cast<std::uint32_t>(tcp.size() + (extension ? 8 : 0)));
  o.push_back(extension ? 60 : 6);
  o.push_back(64);
  for (int side = 0; side < 2; ++side) {
    put16(o, 0xfd00);
    o.insert(o.end(), 13, 0);
    o.push_back((side == 0) == s.to_server ? 1 : 2);
  }
  if (extension) append(o, {6, 0, 1, 4, 0, 0, 0, 0});
  append(o, tcp);
  return o;
}

inline octets ethernet(const octets& ip, const std::vector<std::uint16_t>& tags = {}) {
  octets o(12, 2);
  for (const std::uint16_t tag : tags) {
    put16(o, tag);
    put16(o, 100);
  }
  put16(o, (ip[0] >> 4) == 4 ? 0x0800 : 0x86dd);
  append(o, ip);
  while (o.size() < 60) o.push_back(0xee);  // padding, which is no payload
  return o;
}

// A pcap file with nanosecond times; a packet each microsecond unless told.
class capture_file {
 public:
  explicit capture_file(std::uint32_t link_type = 1) {
    for (const std::uint32_t v : {0xa1b23c4dU, 0x00020004U, 0U, 0U, 262144U}) put32(bytes_, v);
    put32(bytes_, link_type);
  }
  capture_file& add_packet(const octets& packet, std::size_t cut_to = ~std::size_t{0}) {
    const std::size_t kept = std::min(packet.size(), cut_to);
    put32(bytes_, 1000);
    put32(bytes_, now_ns_);
    put32(bytes_, static_cast<std::uint32_t>(kept));
    put32(bytes_, static_cast<std::uint32_t>(packet.size()));
    bytes_.insert(bytes_.end(), packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(kept));
    now_ns_ += 1000;
    return *this;
  }
  capture_file& add(const segment& s) { return add_packet(ethernet(ipv4_bytes(s))); }
  // The next packet comes `ns` later than it would.
  capture_file& wait(std::uint32_t ns) {
    now_ns_ += ns;
    return *this;
  }
  const octets& bytes() const { return bytes_; }

 private:
  octets bytes_;
  std::uint32_t now_ns_ = 0;
};

// A file that goes away with the object.
class scratch_file {
 public:
  explicit scratch_file(const octets& bytes) {
    std::string pattern = (std::filesystem::temp_directory_path() / "understudy-XXXXXX").string();
    const int fd = mkstemp(pattern.data());
    if (fd >= 0) close(fd);
    path_ = pattern;
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  scratch_file(const scratch_file&) = delete;
  scratch_file& operator=(const scratch_file&) = delete;
  ~scratch_file() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace understudy::tb::test
