#include "tb/peers/lwip_time.h"

#include <lwip/priv/tcp_priv.h>
#include <lwip/sys.h>

#include "model/sim/agenda.h"

namespace understudy::tb {

lwip_iss_source& lwip_iss() {
  static lwip_iss_source source;
  return source;
}

}  // namespace understudy::tb

// Simulated milliseconds.
extern "C" u32_t sys_now(void) {
  return static_cast<u32_t>(understudy::now_ps() / understudy::operator""_ms(1));
}

// The number of the SYN: lwIP sends an active SYN with one less than it asks for here.
extern "C" u32_t tcp_next_iss(struct tcp_pcb* pcb) {
  understudy::tb::lwip_iss_source& source = understudy::tb::lwip_iss();
  const u32_t iss = source.fixed ? *source.fixed : static_cast<u32_t>(source.stream.next());
  return pcb->state == SYN_RCVD ? iss : iss + 1;
}
