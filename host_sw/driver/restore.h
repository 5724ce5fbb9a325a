// From the shadow of a connection to the descriptors that load it into a substitute.
#pragma once
#include "host_sw/driver/shadow_table.h"
#include "model/abi/understudy_abi.h"

namespace understudy::host {

// TCP state as the peer can observe it, from what is hard: handshake, FINs, and whether ours is acknowledged.
us_tcp_state derive_state(const connection& c);

// RESTORE with the hard state of a connection that has a cid.
us_idt_entry restore_descriptor(const connection& c, const driver_mutants& mutants);

// POST_RX for the bytes [committed, len) of a buffer at `buffer_iova`; the right window edge may go to
// `edge`.
us_idt_entry post_rx_descriptor(const connection& c, buf_id id, std::uint64_t buffer_iova,
                                std::uint32_t committed, std::uint32_t len, seq32 edge);
// SET_GROUP `index`.
us_idt_entry group_descriptor(const group_config& g, std::uint8_t index);

us_idt_entry send_descriptor(const connection& c, const send_range& r);
us_idt_entry close_descriptor(const connection& c);
us_idt_entry connect_descriptor(const connection& c);
us_idt_entry abort_descriptor(const connection& c);
us_idt_entry options_descriptor(const connection& c);
us_memory_terms memory_terms(const connection_options& o);

// A descriptor without body.
us_idt_entry descriptor(us_opcode opcode, std::uint32_t cid);

}  // namespace understudy::host
