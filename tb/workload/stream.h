// A byte-stream connection as an application sees it, whatever TCP is behind it (the offload's sockets or
// lwIP).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace understudy::tb {

// Calls from the TCP up to the application. No call is made from inside a call on the same stream.
class stream_user {
 public:
  virtual ~stream_user() = default;
  virtual void on_open() = 0;                  // handshake complete
  virtual void on_readable() = 0;              // bytes wait
  virtual void on_writable() = 0;              // room after a short write
  virtual void on_eof() = 0;                   // the peer's FIN, after all its bytes were read; once
  virtual void on_closed() = 0;                // nothing more will happen: closed in order by both ends
  virtual void on_error(const char* why) = 0;  // reset, time-out, refusal; the stream is dead
};

class stream {
 public:
  virtual ~stream() = default;
  // Take bytes to send; returns how many were taken (less than given: wait for on_writable).
  virtual std::size_t write(std::span<const std::uint8_t> bytes) = 0;
  // Give received bytes; returns how many (0: none wait).
  virtual std::size_t read(std::span<std::uint8_t> room) = 0;
  // No more writes: FIN after what was written.
  virtual void shutdown_write() = 0;
  // Abandon the stream at once (RST).
  virtual void abort() = 0;
};

}  // namespace understudy::tb
