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

extern "C" u32_t tcp_next_iss(struct tcp_pcb*) {
  understudy::tb::lwip_iss_source& source = understudy::tb::lwip_iss();
  return source.fixed ? *source.fixed : static_cast<u32_t>(source.stream.next());
}
