// One TCP connection of the engine, generated from connection_fields.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "model/abi/seq32.h"
#include "model/abi/understudy_abi.h"
#include "model/core/connection_fields.h"
#include "model/core/inet.h"
#include "model/core/reassembly.h"
#include "model/core/sack.h"
#include "model/core/units.h"

namespace understudy {

// What a connection's one long timer stands for.
enum class timer_kind : std::uint8_t { none, retransmit, persist, kick, time_wait };

struct tcp_connection {
#define UNDERSTUDY_X(name, type, hardness, holder, safe, source, way, sentence) type name{};
  UNDERSTUDY_CONNECTION_FIELDS(UNDERSTUDY_X)
#undef UNDERSTUDY_X

  bool is_protected() const {
    return conn & US_CONN_PROTECTED;
  }
  bool has_ecn() const {
    return conn & US_CONN_ECN;
  }
  bool has_sack() const {
    return conn & US_CONN_SACK;
  }
  bool has_ts() const {
    return conn & US_CONN_TS;
  }
  // What the peer and the path take, options not deducted.
  std::uint32_t largest_segment() const {
    return path_mss && path_mss < mss ? path_mss : mss;
  }
  // Largest payload of a segment: that, less the options that every segment carries (RFC 6691).
  std::uint32_t effective_mss() const {
    return largest_segment() - (has_ts() ? 12u : 0u);
  }
  // Number after everything posted, FIN counted.
  seq32 stream_end() const {
    return fin_posted ? fin_seq + 1 : snd_end;
  }
  bool fin_acked() const {
    return fin_posted && snd_una == fin_seq + 1;
  }
  bool synchronized() const {
    return state >= US_TCP_ESTABLISHED;
  }
};
static_assert(sizeof(tcp_connection) < 400, "an idle connection stays small");

// A row of connection_fields.h.
struct connection_field {
  const char* name;
  const char* type;
  const char* hardness;
  const char* holder;
  const char* safe;
  const char* source;
  const char* way;
  const char* sentence;
  std::size_t bytes;
};

inline std::span<const connection_field> connection_fields() {
  static constexpr connection_field table[] = {
#define UNDERSTUDY_X(name, type, hardness, holder, safe, source, way, sentence) \
  {#name, #type, #hardness, #holder, #safe, source, way, sentence, sizeof(type)},
      UNDERSTUDY_CONNECTION_FIELDS(UNDERSTUDY_X)
#undef UNDERSTUDY_X
  };
  return table;
}

}  // namespace understudy
