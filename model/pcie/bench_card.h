// A DMA card as the public pcie-bench suite measures it (Neugebauer et al., SIGCOMM 2018): it keeps the
// bus busy with transfers of one size, or times them one after the other. A card is twelve numbers; they do
// not depend on host, size or link.
#pragma once
#include <tlm_utils/simple_initiator_socket.h>

#include <cstdint>
#include <memory>
#include <systemc>
#include <tlm>
#include <vector>

#include "model/core/fifo.h"
#include "model/core/inplace_function.h"
#include "model/core/rng.h"
#include "model/core/units.h"
#include "model/pcie/tlp.h"
#include "model/sim/agenda.h"

namespace understudy {

// All zero, with slots without end: a card that takes no time.
struct card_parameters {
  picos read_overhead = 0;     // of a DMA read, from the decision to the request at the port
  picos write_overhead = 0;    // the same of a DMA write
  picos command_overhead = 0;  // of a read or write by the direct command interface
  picos memory_byte = 0;       // for each byte of one transfer between the port and the card's memory
  std::uint32_t chunk = 128;   // bytes that the DMA engine moves at a time
  picos write_issue = 0;       // engine time of a write, and
  picos write_chunk = 0;       // of each of its chunks
  std::uint32_t read_slots = ~std::uint32_t{0};  // of requests in flight: one each, two beyond a chunk
  picos tlp_gap = 0;                             // data path, after each TLP with data
  picos short_gap = 0;     // data path, after a transfer that does not end with a full read request
  picos partial_read = 0;  // data path, at least, of a read that is no multiple of 16 bytes
  picos shared_byte = 0;   // data path, for each byte written while reads are served too
};

enum class card_test : std::uint8_t {
  dma_read_bandwidth,
  dma_write_bandwidth,
  dma_both_bandwidth,
  dma_read_latency,
  dma_write_read_latency,
  command_read_latency,
  command_write_read_latency,
};

// Transfers of `size` bytes at multiples of `stride` (at least size) in `window` bytes of host memory from
// `base`: at random for bandwidth, one after the other for latency.
struct card_job {
  card_test test = card_test::dma_read_bandwidth;
  std::uint32_t size = 64;
  std::uint64_t base = 0;
  std::uint64_t window = 8192;
  std::uint32_t stride = 64;
  std::uint32_t count = 1000;  // transfers; of a bandwidth the first quarter is not measured
};

struct card_result {
  double bits_per_second = 0;  // payload in one direction
  std::vector<picos> latency;  // each transfer, in order
};

class bench_card : public sc_core::sc_module, public tlm::tlm_mm_interface {
 public:
  using done = inplace_function<void(card_result)>;

  tlm_utils::simple_initiator_socket<bench_card> socket{"socket"};

  // `link`: of the port that the socket is bound to.
  bench_card(const sc_core::sc_module_name& name, const card_parameters& card, const link_parameters& link,
             std::uint64_t seed);
  ~bench_card() override;

  // Carry out `job`, then call `d`; one job at a time. Begins now.
  void run(const card_job& job, done d);
  void free(tlm::tlm_generic_payload* p) override;

 private:
  struct request;
  struct cursor {  // the transfer of one direction that is being cut into TLPs
    std::uint64_t address = 0;
    std::uint32_t left = 0;
    picos not_before = 0;
    std::uint32_t begun = 0;  // transfers
  };

  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload& p, tlm::tlm_phase& phase, sc_core::sc_time& t);
  // Hand the port one TLP; the answer is when it takes the next.
  picos send(bool write, std::uint64_t address, std::uint32_t bytes, bool last);

  bool measures_latency() const { return job_.test >= card_test::dma_read_latency; }
  bool reads() const { return job_.test != card_test::dma_write_bandwidth; }
  bool writes() const { return job_.test != card_test::dma_read_bandwidth; }
  std::uint32_t slots_of(std::uint32_t bytes) const { return bytes > card_.chunk ? 2 : 1; }
  std::uint64_t next_address(bool random);

  void keep_busy();
  bool begin_read();
  bool begin_write();
  void send_next_read();
  void send_next_write();
  void wake(picos at);
  void transferred(std::uint32_t slots, bool last);
  void note_progress();

  void begin_timed();
  void send_timed_write();
  void send_timed_read();
  void timed_read_arrived(const request& r);

  picos data_time(std::uint64_t address, std::uint32_t bytes) const;

  const card_parameters card_;
  const link_parameters link_;
  const bits_per_second rate_;
  agenda agenda_;
  rng random_;
  std::vector<std::unique_ptr<request>> all_;
  std::vector<request*> free_;
  std::vector<std::uint8_t> data_;

  card_job job_;
  done done_;
  card_result result_;
  cursor read_, write_;  // of bandwidth
  cursor at_;            // of latency
  std::uint32_t finished_ = 0;
  bool write_turn_ = false;  // which direction goes first where both could
  picos wake_at_ = never;
  std::uint32_t slots_ = 0;
  picos egress_free_ = 0, engine_free_ = 0, ingress_free_ = 0;
  picos measured_from_ = 0;
  std::uint32_t measured_first_ = 0;

  std::uint64_t place_ = 0;
  picos timed_from_ = 0, stored_ = 0;
  std::uint32_t timed_outstanding_ = 0;
};

}  // namespace understudy
