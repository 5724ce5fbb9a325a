#include "tb/embed/services.h"

#include <array>
#include <vector>

namespace understudy::tb {

// Sends back, or throws away, what it gets, until the peer's end of stream.
class lwip_services::server : public stream_user {
 public:
  server(stream& s, bool echo) : stream_(s), echo_(echo) {}
  bool done() const { return done_; }

  void on_open() override {}
  void on_readable() override { work(); }
  void on_writable() override { work(); }
  void on_eof() override {
    at_end_ = true;
    work();
  }
  void on_closed() override { done_ = true; }
  void on_error(const char*) override { done_ = true; }

 private:
  void work() {
    for (;;) {
      if (kept_from_ < kept_.size())
        kept_from_ += stream_.write({kept_.data() + kept_from_, kept_.size() - kept_from_});
      if (kept_from_ < kept_.size()) return;  // on_writable() follows
      std::array<std::uint8_t, 4096> room;
      const std::size_t n = stream_.read(room);
      if (n == 0) break;
      if (!echo_) continue;
      kept_.assign(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(n));
      kept_from_ = 0;
    }
    if (at_end_ && !shut_) {
      shut_ = true;
      stream_.shutdown_write();
    }
  }

  stream& stream_;
  bool echo_;
  bool at_end_ = false;
  bool shut_ = false;
  bool done_ = false;
  std::vector<std::uint8_t> kept_;  // read and not sent yet, from kept_from_ on
  std::size_t kept_from_ = 0;
};

lwip_services::lwip_services() = default;
lwip_services::~lwip_services() = default;

void lwip_services::listen(lwip_peer& station) {
  station.listen(echo_port, [this](stream& s) { return accept(s, true); });
  station.listen(discard_port, [this](stream& s) { return accept(s, false); });
}

stream_user* lwip_services::accept(stream& s, bool echo) {
  servers_.remove_if([](const std::unique_ptr<server>& x) { return x->done(); });
  return servers_.emplace_back(std::make_unique<server>(s, echo)).get();
}

}  // namespace understudy::tb
