// Puts captured TCP segments back together into flows.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "model/core/units.h"
#include "tb/workload/flow.h"
#include "tb/workload/segment.h"

namespace understudy::tb {

// One direction of a connection: bytes in order from segments in any order. The first copy of a byte counts.
class half_stream {
 public:
  // The stream starts at this number.
  void start_at(seq32 first);
  bool started() const { return started_; }
  seq32 first() const { return first_; }
  // Takes captured bytes that start at `seq` and were `length` bytes when sent; returns how many bytes became
  // contiguous.
  std::uint64_t take(seq32 seq, std::span<const std::uint8_t> bytes, std::uint64_t length);
  // The FIN follows the byte before `seq`.
  void take_fin(seq32 seq);
  bool saw_fin() const { return saw_fin_; }
  // All bytes before the FIN are there.
  bool ended() const { return saw_fin_ && bytes_.size() >= fin_at_; }
  // Something beyond the last contiguous byte was seen.
  bool has_hole() const { return furthest_ > bytes_.size(); }
  std::uint64_t size() const { return bytes_.size(); }
  std::vector<std::uint8_t> release() { return std::move(bytes_); }

 private:
  std::int64_t offset_of(seq32 seq) const;

  bool started_ = false;
  bool saw_fin_ = false;
  seq32 first_;
  std::uint64_t fin_at_ = 0;
  std::uint64_t furthest_ = 0;
  std::vector<std::uint8_t> bytes_;
  std::map<std::uint64_t, std::vector<std::uint8_t>> waiting_;  // by offset; bytes beyond a hole
};

// All connections of a capture.
class flow_table {
 public:
  // The next segment of the capture, seen at `at` after its first packet. Times never fall.
  void take(const captured_segment& s, picos at);

  struct result {
    std::vector<flow> flows;  // those with payload, in the order of their first packets
    std::uint64_t skipped_no_payload = 0;
    std::uint64_t skipped_cut = 0;
  };
  // The flows so far; the table is empty afterwards.
  result finish();

 private:
  struct end_key {
    ip_address address;
    std::uint16_t port = 0;
    auto operator<=>(const end_key&) const = default;
  };
  struct connection {
    end_key client;
    end_key server;
    flow made;
    std::array<half_stream, 2> halves;
    std::array<bool, 2> syn{};         // the SYN of this direction's sender was seen
    std::array<seq32, 2> after_syn{};  // its sequence number + 1
    picos last_byte = 0;
    bool split = false;  // the next bytes start a new turn
  };

  connection& open(const captured_segment& s, picos at);
  static bool is_another(const connection& c, const captured_segment& s, flow_direction d);
  static void add_bytes(connection& c, flow_direction d, std::uint64_t count, picos at);
  static void note_fin(connection& c, flow_direction d);

  std::vector<std::unique_ptr<connection>> connections_;
  std::map<std::pair<end_key, end_key>, connection*> current_;  // by the two ends, smaller first
};

}  // namespace understudy::tb
