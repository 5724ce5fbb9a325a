// Every constant of the adapter, with its unit and where its value comes from. Ranges are checked where
// scenarios are read.
#pragma once
#include <cstdint>
#include <string>

#include "model/adapter/connection_lookup.h"
#include "model/adapter/dma_engine.h"
#include "model/core/tcp_engine.h"
#include "model/core/units.h"

namespace understudy {

// How the adapter learns that records and payload are visible in host memory.
enum class commit_proof : std::uint8_t {
  flush_read,     // a zero-length read behind the writes
  host_ack,       // the driver's consumer index has passed the record
  trusted_delay,  // a stated bound after the write was queued; for exploration only
};

// Deliberate faults, each of which one monitor must catch.
struct adapter_mutants {
  bool record_before_payload = false;     // the commit record goes before its payload
  bool lost_wakeup = false;               // an interrupt that falls into the moderation time is forgotten
  bool shifted_payload = false;           // payload is taken from one byte before its beginning
  bool resend_other_bytes = false;        // a retransmission carries another first byte
  bool write_outside = false;             // a write that fills a buffer goes one byte beyond it
  bool cross_connection = false;          // two connections exchange the buffers that they fill next
  bool skip_record_number = false;        // every 64th record number is left out
  bool fetch_beyond_tail = false;         // a fetch of descriptors takes one more than the doorbell allows
  bool data_before_announcement = false;  // data of a connection is recorded before its announcement
  bool hold_for_ever = false;             // what is held back is handed over when its connection ends
  bool overrun_ring = false;              // records are written whether the host has made room or not
  bool relaxed_records = false;           // commit records go with Relaxed Ordering
};

// Clock cycles that Verilator has evaluated of each block since power-up, which does not count. 0: the
// block's C++ twin runs.
struct rtl_cycle_counts {
  std::uint64_t checksum = 0, dma_engine = 0, buffer_allocator = 0, record_coalescer = 0,
                connection_table = 0;
};

struct adapter_config {
  tcp_config tcp;
  dma_config dma;
  lookup_config lookup;
  unsigned link_generation = 3, link_lanes = 8;  // of its slot, as configuration space says
  picos clock_period = 2500_ps;                  // 400 MHz, as FPGA offload engines of 100 Gb/s run
  std::uint32_t checksum_bytes = 32;             // of datapath width: 400 MHz * 32 bytes is 102 Gb/s
  bool checksum_rtl = false;                     // the Verilated block instead of its C++ twin
  bool buffer_allocator_rtl = false;             // as checksum_rtl
  bool record_coalescer_rtl = false;
  std::string checksum_vcd;   // waveform file of the Verilated block; empty: none
  picos rx_latency = 400_ns;  // MAC to engine, without the checksum: about 160 cycles of parse, look-up, TCP
  picos tx_latency = 300_ns;  // payload in the adapter to MAC: header, checksum insertion
  std::uint32_t rx_fifo_bytes = 512 * 1024;  // frames waiting behind the engine; more is dropped
  std::uint64_t dma_backlog_bytes =
      256 * 1024;                          // posted writes waiting before the engine stops taking frames
  picos register_access = 20_ns;           // BAR read or write inside the adapter
  picos descriptor_time = 20_ns;           // decode and execute one input descriptor
  std::uint32_t descriptors_a_fetch = 16;  // input descriptors a DMA read fetches, at most
  // Free-running index that the first descriptor and the first record have after power-on and after a reset;
  // the driver counts from the same. 0 unless the wrap at 2^32 is tested.
  std::uint32_t first_index = 0;
  // Payload goes to host memory with Relaxed Ordering, if Device Control allows it; records never do.
  bool relaxed_ordering = false;
  picos timer_time = 20_ns;  // of the timer unit for an entry of the wheel that is due: eight cycles to take
                             // it from its list and read its connection
  std::uint32_t inline_ranges = 4096;  // sends whose bytes came with their descriptor that it keeps, at most
  std::uint32_t raw_reads = 16;        // reads of raw frames' pieces outstanding, at most
  std::uint32_t raw_completion_batch = 8;  // raw frames that one record reports, at most
  std::uint32_t tx_queues = 0;  // rings for raw frames beside the input table, at most US_TX_QUEUES_MOST
  // Bytes of frames of one of them that are being read or wait for the MAC, at most; one frame always may.
  std::uint32_t tx_queue_bytes = 32 * 1024;
  picos interrupt_moderation = 10_us;  // least time between two interrupts, common default range 8 to 50 us
  picos acked_record_age = 10_us;      // send progress is reported after at most this time
  commit_proof proof = commit_proof::flush_read;
  picos trusted_delay = 2_us;
  std::uint32_t flushes_in_flight = 2;  // flush reads outstanding, at most
  adapter_mutants mutants;
};

}  // namespace understudy
