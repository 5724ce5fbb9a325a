/// First in, first out: a queue in one clock domain, its front in sight.
///
/// Latency: what is pushed can be popped from the next cycle on. Throughput: a push and a pop a cycle.
/// Back-pressure: ready_o falls while Depth words wait; it does not depend on pop_i.
/// Bad input: a push while ready_o is low, or a pop while valid_o is low, fails an assertion.
`default_nettype none

module sync_fifo #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 4  // a power of two, 2 or more
) (
  input  wire logic             clk_i,
  input  wire logic             rst_ni,  // synchronous, active low
  input  wire logic             push_i,
  output logic                  ready_o,
  input  wire logic [Width-1:0] data_i,
  output logic                  valid_o,
  input  wire logic             pop_i,
  output logic [Width-1:0]      data_o
);
  if (Depth < 2 || (Depth & (Depth - 1)) != 0) begin : gen_bad_depth
    $fatal(1, "sync_fifo: Depth must be a power of two");
  end

  localparam int unsigned IndexBits = $clog2(Depth);

  logic [Width-1:0] word_q[Depth];
  logic [IndexBits:0]          put_q, take_q;  // free-running

  assign ready_o = put_q - take_q != (IndexBits + 1)'(Depth);
  assign valid_o = put_q != take_q;
  assign data_o = word_q[take_q[IndexBits-1:0]];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      put_q <= '0;
      take_q <= '0;
    end else begin
      if (push_i) put_q <= put_q + 1'b1;
      if (pop_i) take_q <= take_q + 1'b1;
    end
    if (push_i) word_q[put_q[IndexBits-1:0]] <= data_i;
  end

  no_push_when_full :
  assert property (@(posedge clk_i) disable iff (!rst_ni) push_i |-> ready_o)
  else $error("push into a full queue");

  no_pop_when_empty :
  assert property (@(posedge clk_i) disable iff (!rst_ni) pop_i |-> valid_o)
  else $error("pop from an empty queue");
endmodule

`default_nettype wire
