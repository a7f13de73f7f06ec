// A node modbus-serial server: node modbus_serial_server.js tcp PORT; prints "ready".
const { ServerTCP } = require("modbus-serial");
const TABLE = 1000;
const holding = Array.from({ length: TABLE }, (_, n) => n);
const coils = Array.from({ length: TABLE }, (_, n) => n % 3 === 0);
const known = (address) => {
  if (address >= TABLE) throw { modbusErrorCode: 2 };
  return address;
};
const vector = {
  getHoldingRegister: (address) => holding[known(address)],
  getInputRegister: (address) => known(address),
  getCoil: (address) => coils[known(address)],
  getDiscreteInput: (address) => known(address) % 2 === 1,
  setRegister: (address, value) => { holding[known(address)] = value; },
  setCoil: (address, value) => { coils[known(address)] = value; },
};
const server = new ServerTCP(vector, { host: "127.0.0.1", port: Number(process.argv[3]), unitID: 1 });
server.on("initialized", () => console.log("ready"));
