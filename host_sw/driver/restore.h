// From the shadow of a connection to the descriptors that load it into a substitute.
#pragma once
#include "host_sw/driver/shadow_table.h"
#include "model/abi/understudy_abi.h"

namespace understudy::host {

// TCP state as the peer can observe it, from what is hard: handshake, FINs, and whether ours is acknowledged.
us_tcp_state derive_state(const connection& c);

// RESTORE with the hard state of a connection that has a cid.
us_idt_entry restore_descriptor(const connection& c, const driver_mutants& mutants);

// POST_RX for the part of a buffer that is not yet committed.
us_idt_entry post_rx_descriptor(const connection& c, const rx_range& r, std::uint64_t buffer_iova);

us_idt_entry send_descriptor(const connection& c, const send_range& r);
us_idt_entry close_descriptor(const connection& c);
us_idt_entry connect_descriptor(const connection& c);
us_idt_entry abort_descriptor(const connection& c);
us_idt_entry options_descriptor(const connection& c);

// A descriptor without body.
us_idt_entry descriptor(us_opcode opcode, std::uint32_t cid);

}  // namespace understudy::host
