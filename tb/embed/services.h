// Echo (RFC 862) and discard (RFC 863) at an lwIP station.
#pragma once
#include <list>
#include <memory>

#include "tb/peers/lwip_peer.h"

namespace understudy::tb {

class lwip_services {
 public:
  static constexpr std::uint16_t echo_port = 7;
  static constexpr std::uint16_t discard_port = 9;

  lwip_services();
  ~lwip_services();
  // Serve both on `station` from now on; this outlives it.
  void listen(lwip_peer& station);

 private:
  class server;
  stream_user* accept(stream& s, bool echo);
  std::list<std::unique_ptr<server>> servers_;
};

}  // namespace understudy::tb
