// The page of `likeness serve`.
import "./app.css";
