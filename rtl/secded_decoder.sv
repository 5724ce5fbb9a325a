/// Corrects one wrong bit of a code word of secded_encoder and finds two. The twin is model/core/secded.h.
///
/// Latency: none, combinational.
/// Bad input: three wrong bits or more may be taken for fewer, as in the twin. With uncorrectable_o, data_o is of no use.
`default_nettype none

module secded_decoder #(
  parameter  int unsigned DataBits = 64,
  localparam int unsigned CheckBits = $clog2(DataBits + 1 + $clog2(DataBits + 1 + $clog2(DataBits + 1))) + 1,
  localparam int unsigned CodeBits = DataBits + CheckBits
) (
  input  wire logic [CodeBits-1:0] code_i,
  output logic      [DataBits-1:0] data_o,
  output logic                     corrected_o,
  output logic                     uncorrectable_o
);
  `include "secded_columns.svh"

  logic [CodeBits-1:0]  again;  // what the data as they came would have been encoded to
  logic [CheckBits-1:0] syndrome;
  secded_encoder #(.DataBits(DataBits)) u_encoder (.data_i(code_i[DataBits-1:0]), .code_o(again));
  assign syndrome = again[DataBits+:CheckBits] ^ code_i[DataBits+:CheckBits];

  logic [DataBits-1:0] wrong;
  for (genvar i = 0; i < DataBits; i++) begin : gen_wrong
    assign wrong[i] = syndrome == Columns[i];
  end

  logic check_wrong;
  assign check_wrong = (syndrome & (syndrome - 1'b1)) == '0;
  assign data_o = code_i[DataBits-1:0] ^ wrong;
  assign corrected_o = |syndrome && (check_wrong || |wrong);
  assign uncorrectable_o = |syndrome && !(check_wrong || |wrong);

  // The encoder's data come back as they went in.
  logic unused_again;
  assign unused_again = ^again[DataBits-1:0];
endmodule

`default_nettype wire
