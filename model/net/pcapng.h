// Captures for Wireshark: pcapng with nanosecond times, directions and comments (draft-ietf-opsawg-pcapng).
#pragma once
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "model/net/capture.h"

namespace understudy {

// Writes under a temporary name beside `path` and renames on close(), so that nothing half-written stays.
// Every failure of the machine is a std::system_error that names the path. Blocks are in the machine's byte
// order, as the format allows.
class pcapng_writer : public capture_sink {
 public:
  // `hardware` and `application`: text for the section header; empty: left out.
  pcapng_writer(std::string path, const std::string& hardware, const std::string& application);
  // Not closed: the temporary file is removed.
  ~pcapng_writer() override;
  pcapng_writer(const pcapng_writer&) = delete;
  pcapng_writer& operator=(const pcapng_writer&) = delete;

  // A new interface; returns its number, counted from 0. `rate` in bits per second; 0: not stated.
  // `link_type`: one of the LINKTYPE_ numbers.
  unsigned add_interface(const std::string& name, bits_per_second rate = 0, unsigned link_type = ethernet);
  // `interface` is one that was added. Times are cut to nanoseconds.
  void frame(picos at, unsigned interface, bool outbound, const frame_ref& f, const char* comment) override;
  // A packet of another link type, of which only the first bytes are kept. `length`: all it had.
  void packet(picos at, unsigned interface, bool outbound, std::span<const std::uint8_t> bytes,
              std::uint32_t length);
  // Finish the file. Nothing may follow.
  void close();
  std::uint64_t frames() const { return frames_; }

 private:
  static constexpr unsigned ethernet = 1;
  void discard();  // close and remove the temporary file
  void write_packet(picos at, unsigned interface, bool outbound, std::span<const std::uint8_t> bytes,
                    std::uint32_t length, const char* comment);
  void begin_block(std::uint32_t type);
  void option(std::uint16_t code, const void* value, std::uint16_t length);
  void end_block();
  void put32(std::uint32_t v);
  void put(const void* data, std::size_t length);
  [[noreturn]] void fail(const char* action) const;

  std::string path_;
  std::string temporary_;
  std::FILE* file_ = nullptr;
  std::vector<std::uint8_t> block_;
  bool has_options_ = false;
  unsigned interfaces_ = 0;
  std::uint64_t frames_ = 0;
};

}  // namespace understudy
