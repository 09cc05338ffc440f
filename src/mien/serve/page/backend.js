// Who reads the pictures. `mien export --web` puts "./local.js" here.
export { connect } from "./remote.js";
